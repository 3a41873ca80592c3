"""The input files of a job as their footers describe them. No rows are read here."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.base.errors import UserError, one_line
from transforms.input.columns import Columns, RowLayout, resolve
from transforms.input.parquet import of_footer, read_footer

# Footers are small and remote ones take a round trip or two each.
_THREADS = 16


@dataclass(frozen=True)
class InputFile:
    """One input file.

    Attributes:
        index: place among the job's input files; part of its shards' names.
        size: bytes.
        footer_hash: hexadecimal SHA-256 of the Parquet footer, which changes with the file's contents.
        layout: one row per query (nested) or per pair (flat).
        rows: rows of the file.
        pairs: (query, document) pairs of the file, null documents aside; None where the footer does not say.
    """

    index: int
    path: str
    size: int
    footer_hash: str
    layout: RowLayout
    rows: int
    pairs: int | None


class Inspected(NamedTuple):
    """An input file as it was inspected.

    Attributes:
        file: what the job knows of it.
        columns: those that are read; None of a file without rows.
        source: the path of the user's file, which is what errors name.
    """

    file: InputFile
    columns: Columns | None
    source: str


def inspect(paths: Sequence[str], keep_columns: Sequence[str] = (), start_index: int = 0) -> list[InputFile]:
    """Reads and checks the footers of `paths`, whose order gives the files their index.

    Of a file without rows it is only checked that it is Parquet: what wrote it may not have known the types.

    Raises:
        UserError: a file cannot be read or is not Parquet; a column is missing or has a wrong type; one to keep is not
            there, collides with one of the output, or differs in type between files; files of both layouts.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        inspected = list(pool.map(partial(_inspect_one, keep_columns=keep_columns), paths, range(start_index, 1 << 62)))
    full = [each for each in inspected if each.columns is not None]
    _check_one_layout(full)
    _check_kept_types(full)
    layout = full[0].file.layout if full else "nested"
    return [each.file if each.columns else replace(each.file, layout=layout) for each in inspected]


def total_pairs(inputs: Sequence[InputFile]) -> int | None:
    """Pairs of all input files; None if a footer does not say."""
    pairs = [file.pairs for file in inputs]
    return None if None in pairs else sum(filter(None, pairs))


def _inspect_one(path: str, index: int, *, keep_columns: Sequence[str]) -> Inspected:
    try:
        footer = read_footer(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {one_line(error)}") from error
    metadata = footer.metadata
    if metadata.num_rows == 0:
        return Inspected(InputFile(index, path, footer.size, footer.hash, "nested", 0, 0), None, path)
    _check_codecs(path, metadata)
    try:
        parquet = of_footer(path, footer)
        columns = resolve(parquet, keep_columns)
    except pa.ArrowException as error:
        raise UserError(f"{path}: its schema cannot be read: {one_line(error)}") from error
    counts = [count_pairs(metadata.row_group(i), columns) for i in range(metadata.num_row_groups)]
    pairs = sum(count for count, _ in counts) if all(exact for _, exact in counts) else None
    file = InputFile(index, path, footer.size, footer.hash, columns.layout, metadata.num_rows, pairs)
    return Inspected(file, columns, parquet.source)


def _check_codecs(path: str, metadata: pq.FileMetaData) -> None:
    first = metadata.row_group(0)
    for codec in {first.column(i).compression for i in range(first.num_columns)} - {"UNCOMPRESSED"}:
        try:
            known = pa.Codec.is_available(codec.lower())
        except ValueError:
            known = False
        if not known:
            raise UserError(f"{path}: is compressed with {codec}, which pyarrow cannot read here; write it with zstd")


def count_pairs(row_group: pq.RowGroupMetaData, columns: Columns) -> tuple[int, bool]:
    """Pairs of a row group by the footer alone, null document ids aside, and whether that is exact.

    A list that is null or empty takes one null of the leaf column, so values less nulls are the entries with an id.
    Where the footer does not count the nulls, all values are the most that there can be.
    """
    if columns.layout == "flat":
        return row_group.num_rows, True
    chunks = (row_group.column(i) for i in range(row_group.num_columns))
    chunk = next((chunk for chunk in chunks if chunk.path_in_schema == f"{columns.prefix}doc_id"), None)
    if chunk is None:
        return 0, True
    if chunk.statistics is None or not chunk.statistics.has_null_count:
        return chunk.num_values, False
    return chunk.num_values - chunk.statistics.null_count, True


def _check_one_layout(files: Sequence[Inspected]) -> None:
    first = {each.file.layout: each.source for each in reversed(files)}
    if len(first) > 1:
        raise UserError(
            f"{first['nested']} has one row per query and {first['flat']} one row per pair; "
            "give files of one layout to a job"
        )


def _check_kept_types(files: Sequence[Inspected]) -> None:
    seen: dict[str, tuple[pa.DataType, str]] = {}
    for _, columns, source in files:
        assert columns is not None  # of a file with rows
        for name, here in (columns.kept_query_types | columns.kept_candidate_types).items():
            first, where = seen.setdefault(name, (here, source))
            if here != first:
                raise UserError(
                    f"--keep_columns {name}: it is {first} in {where} and {here} in {source}; "
                    "give it one type in all files"
                )
