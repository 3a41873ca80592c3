"""The types that ids have in a job's input: the output has them as text."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from transforms.base.errors import UserError
from transforms.input.columns import resolve
from transforms.input.parquet import open_parquet, read_footer
from transforms.job.record import Job

# Column of an export -> the column of the input that its ids are from, and whether they are in lists.
ID_COLUMNS = {
    "query_id": ("query_id", False),
    "doc_id": ("doc_id", False),
    "document_id": ("doc_id", False),
    "document_ids": ("doc_id", True),
}


def id_types(job: Job) -> dict[str, pa.DataType]:
    """The type of each of ID_COLUMNS: that of the input's integers, else text.

    Raises:
        UserError: an input file is gone or has changed, or the ids have different types in different files.
    """
    first_seen: dict[str, tuple[pa.DataType, str]] = {}
    for stored in job.inputs:
        footer = read_footer(stored.path)
        if footer.hash != stored.footer_hash:
            raise UserError(f"{stored.path}: has changed since it was scored; put back what was there")
        if not footer.metadata.num_rows:
            continue
        with open_parquet(stored.path, footer.hash) as parquet:
            columns = resolve(parquet)
        types = {"query_id": columns.query["query_id"], "doc_id": columns.candidate.get("doc_id", pa.null())}
        for name, kind in types.items():
            id_type = kind if pa.types.is_integer(kind) else pa.string()
            first, path = first_seen.setdefault(name, (id_type, stored.path))
            if first != id_type:
                raise UserError(
                    f"--keep_id_types: {name} is {first} in {path} and {id_type} in {stored.path}; leave it out"
                )
    return {
        column: pa.list_(kind) if is_list else kind
        for column, (name, is_list) in ID_COLUMNS.items()
        for kind in [first_seen[name][0] if name in first_seen else pa.string()]
    }


def typed(columns: Mapping[str, pa.DataType], types: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Columns of an export with their ids in these types."""
    return {name: types.get(name, kind) for name, kind in columns.items()}
