"""CSV and TSV with pairs: a header of known names, or MS MARCO's (qid, pid, query, passage)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import pyarrow as pa
from pyarrow import csv as arrow_csv

from transforms.base.errors import UserError, one_line
from transforms.base.text import open_text, other_separator
from transforms.input.conversion.arrow import named
from transforms.input.names import ACCEPTED, IDENTIFYING, OF_CANDIDATE, OF_QUERY, REQUIRED, ColumnNames
from transforms.input.other_files import of_fields

# A row must lie in two blocks at most, so this is the longest document. Several blocks are in memory at once.
_BLOCK_BYTES = 4 << 20
# The columns of MS MARCO's top1000 files, which have no header.
MS_MARCO = ("qid", "pid", "query", "passage")
_NUMBERS = {"score": pa.float64(), "rank": pa.int64()}
_FOLDED = frozenset(name for names in ACCEPTED.values() for name in names)


def read(path: str, names: ColumnNames, delimiter: str) -> Iterator[pa.RecordBatch]:
    """The pairs of a file, a little at a time. Ids and all columns but score and rank are text as it stands there.

    In CSV a field may be in quotes, as pandas and the csv module write it; in TSV quotes are text.

    Raises:
        UserError: the file cannot be read, lacks a column, a line has other columns or a score that is no number, or a
            quote is never closed.
    """
    quoted = delimiter == ","
    columns, skipped = _columns(path, names, delimiter)
    chosen = names.find([*OF_QUERY, *OF_CANDIDATE], columns, path)
    names.check_kept(columns, path)
    for column in chosen.values():
        if columns.count(column) > 1:
            raise UserError(f"{path}: column {column!r} appears twice; leave one")
    types = {column: _NUMBERS.get(name, pa.string()) for name, column in chosen.items()}
    marked = quoted and len(columns) > 1  # a row of one empty cell is a blank line, which Arrow skips
    with open_text(path) as stream:
        try:
            reader = arrow_csv.open_csv(
                _Marked(stream, (delimiter * (len(columns) - 1)).encode()) if marked else stream,
                arrow_csv.ReadOptions(
                    use_threads=False,
                    block_size=_BLOCK_BYTES,
                    column_names=columns,
                    skip_rows_after_names=skipped,
                ),
                arrow_csv.ParseOptions(
                    delimiter=delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted
                ),
                arrow_csv.ConvertOptions(
                    check_utf8=False,  # the job rejects a row that is none, and no other
                    column_types=types,
                    include_columns=list(types),
                    null_values=["", "NA", "NaN", "nan", "null"],
                ),
            )
            yield named(pa.RecordBatch.from_pylist([], schema=reader.schema), chosen)
            for batch in _without_mark(reader, path) if marked else reader:
                yield named(batch, chosen)
        except pa.ArrowException as error:
            if "straddling" in str(error):
                raise UserError(f"{path}: a row of more than 4 MiB, or a quote that is never closed; fix it") from None
            raise UserError(f"{path}: cannot be read ({one_line(error)}); fix the line") from None


class _Marked(io.RawIOBase):
    """The bytes of a file of CSV, with a row of empty cells after the last one. Where a quote of the last row is never
    closed, which Arrow does not report, what follows is a part of that row."""

    def __init__(self, stream: BinaryIO, empty_row: bytes) -> None:
        self._stream, self._mark = stream, b"\n" + empty_row + b"\n"

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        room = size - len(self._mark)
        data = self._stream.read(room)
        if len(data) < room:  # in the last block, as the last row would else lie in three
            data, self._mark = data + self._mark, b""
        return data


def _without_mark(batches: Iterable[pa.RecordBatch], path: str) -> Iterator[pa.RecordBatch]:
    """What `_Marked` gave, without its last row.

    Raises:
        UserError: that row is not there.
    """
    last = None
    for batch in batches:
        if last is not None:
            yield last
        last = batch
    if last is None or not all(_is_empty(column[-1]) for column in last.columns):
        raise UserError(f"{path}: its last row opens a quote that is never closed; close it")
    yield last.slice(0, len(last) - 1)


def _is_empty(cell: pa.Scalar) -> bool:
    """Whether nothing stands in a cell; its text, which may be no UTF-8, is not decoded."""
    return not cell.is_valid or (pa.types.is_string(cell.type) and len(cell.as_buffer()) == 0)


def _columns(path: str, names: ColumnNames, delimiter: str) -> tuple[list[str], int]:
    """The names of a file's columns, and how many of its lines stand before the first row."""
    before, first = 0, [""]
    with open_text(path) as stream:
        text = io.TextIOWrapper(stream, "utf-8", "replace", newline="")
        try:
            for first in csv.reader(text) if delimiter == "," else (line.rstrip("\r\n").split("\t") for line in text):
                if any(first):
                    break
                before += 1
        except csv.Error as error:
            raise UserError(f"{path}: its first line is not CSV ({error}); fix it") from None
    if not any(first):
        raise UserError(f"{path}: no line in it; give a header and rows")
    if other := of_fields(first):
        raise UserError(f"{path}: holds no pairs; {other}")
    header = [_known(cell.strip(), names) for cell in first]
    if not {*IDENTIFYING, *names.columns.values()}.isdisjoint(header):
        return header, before + 1
    if len(header) == len(MS_MARCO):
        return [*MS_MARCO], before
    between = "commas" if delimiter == "," else "tabs"
    raise UserError(
        f"{path}: its first line, between {between}, is neither a header with the columns {_required(names)}, nor "
        f"MS MARCO's {' '.join(MS_MARCO)}; it has {', '.join(map(repr, header[:8]))}"
        f"{other_separator(first) or '; add a header, or name the columns with --columns doc_id=COLUMN and so on'}"
    )


def _known(cell: str, names: ColumnNames) -> str:
    """A header's cell, by the name that it is known by if it is that in other letters."""
    return cell.lower() if cell not in names.columns.values() and cell.lower() in _FOLDED else cell


def _required(names: ColumnNames) -> str:
    return ", ".join(names.accepted(name)[0] for name in ACCEPTED if name in REQUIRED)
