"""Reads files on any filesystem and writes local ones, each failure a line. Knows nothing of what is in them."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from transforms.base.errors import UnavailableError, UserError, is_one_line, one_line
from transforms.base.files import FAILURES, open_input
from transforms.base.json_text import indented

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
TABLE_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".parquet": pq.write_table,
    ".csv": lambda table, path: pa.csv.write_csv(table, path),
    ".tsv": lambda table, path: pa.csv.write_csv(table, path, pa.csv.WriteOptions(delimiter="\t")),
}


@contextmanager
def reading(location: str) -> Iterator[None]:
    """While the body reads what is at a path or address.

    Raises:
        UserError: it cannot be read, its name is not text (bytes that are not UTF-8), or an address names nothing.
    """
    _, separator, name = location.partition("://")
    if separator and not name.strip("/"):
        raise UserError(f"{location}: names no file; give its whole address")
    if not is_one_line(location):
        raise UserError(f"{location!r}: its name cannot be written down; rename it")
    try:
        yield
    except (*FAILURES, EOFError, zlib.error) as problem:
        raise UserError(f"{location}: cannot be read ({one_line(problem)}); check the path and the file") from None


def read_lines(location: str) -> Iterator[tuple[int, bytes]]:
    """Numbers from 1 and contents of a text file's lines, blank ones left out; gzip is known by its first bytes.

    Raises:
        UserError: the file is missing, cannot be read, or its gzip data is damaged.
    """
    with reading(location), open_input(location) as raw:
        stream = io.BufferedReader(raw)  # type: ignore[type-var]
        packed = stream.peek(2).startswith(GZIP_MAGIC)
        for number, line in enumerate(gzip.GzipFile(fileobj=stream) if packed else stream, start=1):
            content = line.rstrip(b"\r\n").removeprefix(BYTE_ORDER_MARK if number == 1 else b"")
            if content.strip():
                yield number, content


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """While the body writes the file.

    Raises:
        UnavailableError: it cannot be written; the disk is full, say.
    """
    try:
        yield
    except OSError as problem:
        raise UnavailableError(f"{path} cannot be written: {one_line(problem)}") from problem


def write_json(path: Path, value: Any) -> None:
    """Write a report; errors as of `writing`."""
    with writing(path):
        path.write_text(indented(value), encoding="utf-8")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, in the form that the file's name ends in; errors as of `writing`."""
    with writing(path):
        TABLE_WRITERS[path.suffix](pa.Table.from_pylist(rows), path)
