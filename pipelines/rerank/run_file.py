"""What can be known of --run_file before anything is scored: whether it can be written, and hold the input's ids."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from transforms.base import files
from transforms.base.errors import UserError
from transforms.input.arrays import as_type, usable_ids
from transforms.input.columns import resolve
from transforms.input.inputs import InputFile
from transforms.input.parquet import DamagedError, batches, open_parquet
from transforms.output.report import check_run_ids


def check_run_file(path: str, inputs: Sequence[str], output: str) -> None:
    """Refuse a run file that would take the place of something else, before hours of work lead up to it.

    Raises:
        UserError: it is a directory, a device or an input, lies in the job's own directory, or cannot be written.
    """
    where, own, *taken = (
        str(Path(name).resolve()) if files.is_local(name) else name for name in (files.absolute(path), output, *inputs)
    )
    no_file = files.is_local(where) and Path(where).exists() and not Path(where).is_file()
    if no_file or where in {own, *taken} or where.startswith(f"{own}/"):
        what = "a directory, a device, an input or the job's own"
        raise UserError(f"--run_file {path}: it is {what}; give the name of a new file")
    if files.is_local(where):
        folder = next(folder for folder in Path(where).parents if folder.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UserError(f"--run_file {path}: {folder} is not a directory that can be written to; give another name")


def check_ids(inputs: Sequence[InputFile]) -> None:
    """Refuse ids that a TREC run cannot hold, before hours of work lead up to the run; reads the ids of all input.

    Rows that will be rejected for their ids, or because they cannot be decoded, are left to that.

    Raises:
        UserError: an id has white space in it.
    """
    for file in inputs:
        if not file.rows:
            continue
        with open_parquet(file.path, file.footer_hash) as parquet:
            resolved = resolve(parquet)
            nested = resolved.layout == "nested"
            if nested and not resolved.prefix:  # all lists are empty
                continue
            columns = ["query_id", f"{resolved.prefix}doc_id"]
            for row_group in range(parquet.metadata.num_row_groups):
                try:
                    for batch in batches(parquet, row_group, columns):
                        _check(batch.column("query_id"), "query", parquet.source)
                        documents = batch.column("candidates" if nested else "doc_id")
                        documents = documents.flatten().field("doc_id") if nested else documents
                        _check(documents, "document", parquet.source)
                except DamagedError:
                    continue


def _check(ids: pa.Array, what: str, path: str) -> None:
    texts = as_type(ids, pa.string())
    try:
        check_run_ids(texts.filter(pa.array(usable_ids(texts))), what)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
