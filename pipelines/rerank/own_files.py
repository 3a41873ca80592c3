"""The input in forms other than the job's own Parquet, which is converted before the job begins."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pyarrow.parquet as pq

from pipelines.rerank.request import RerankRequest
from transforms.base import files
from transforms.input.conversion.convert import convert, reader_of
from transforms.input.names import ACCEPTED, Names, parse_columns
from transforms.job import directory, record
from transforms.layout import RERANKING


def converted(request: RerankRequest, output: str, given: Sequence[str], folder: str) -> list[str]:
    """The Parquet files that the job reads: those given, and in place of others what they are converted into.

    Args:
        request: of the job.
        output: its directory.
        given: the input files.
        folder: for the converted ones.

    Raises:
        UserError: a file cannot be read or is not what it should be, or has changed since the job began; or the output
            is not this job's.
    """
    names = Names(parse_columns(request.columns, ACCEPTED), request.keep_columns)
    others = {path for path in given if reader_of(path, names)}
    if not others:
        return list(given)
    directory.check_place(output, RERANKING)
    begun = record.of_kind(output, RERANKING, request.overwrite)
    known = [file.path for file in begun.inputs] if begun else []
    paths = []
    for path in given:
        made = convert(path, folder, names, known)
        if path in others and made not in known:
            with files.open_input(made) as stream:
                print(f"read {path}: {pq.read_metadata(stream).num_rows:,} rows", file=sys.stderr)
        paths.append(made)
    return paths
