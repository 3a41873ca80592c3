"""Opens files by path or URI, local or on any filesystem that Arrow reads. Knows nothing of what is in them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pyarrow import fs

from transforms.base.errors import UnavailableError, UserError, can_be_told, one_line

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
TABLE_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".parquet": pq.write_table,
    ".csv": lambda table, path: pa.csv.write_csv(table, path),
    ".tsv": lambda table, path: pa.csv.write_csv(table, path, pa.csv.WriteOptions(delimiter="\t")),
}


def locate(location: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of a path or URI (gs://, s3://, hdfs://, file://), and the path there, without a slash at its end.

    Raises:
        UserError: the URI is of no filesystem that Arrow knows or names nothing there, or the name is no text (bytes
            that are not UTF-8).
    """
    if not can_be_told(location):
        raise UserError(f"{location!r}: its name cannot be written down; rename it")
    if "://" not in location:
        # Absolute, since Arrow takes a relative name with a colon for the address of a filesystem.
        return fs.LocalFileSystem(), os.path.abspath(location) if location else location
    try:
        filesystem, path = fs.FileSystem.from_uri(location)
    except pa.ArrowException as problem:
        raise UserError(f"{location}: {one_line(problem)}; give a path or a gs://, s3:// or hdfs:// address") from None
    if not path.strip("/"):
        raise UserError(f"{location}: names no file; give its whole address")
    return filesystem, path.rstrip("/")


def read_lines(location: str) -> Iterator[tuple[int, bytes]]:
    """Numbers from 1 and contents of a text file's lines, blank ones left out; gzip is told by its first bytes.

    Raises:
        UserError: the file is missing, cannot be read, or its gzip data is damaged.
    """
    filesystem, path = locate(location)
    try:
        with filesystem.open_input_stream(path, compression=None) as raw:
            stream = io.BufferedReader(raw)
            packed = stream.peek(2).startswith(GZIP_MAGIC)
            for number, line in enumerate(gzip.GzipFile(fileobj=stream) if packed else stream, start=1):
                content = line.rstrip(b"\r\n").removeprefix(BYTE_ORDER_MARK if number == 1 else b"")
                if content.strip():
                    yield number, content
    except (OSError, EOFError, zlib.error) as problem:
        raise UserError(f"{location}: cannot be read ({one_line(problem)}); check the path and the file") from None


def sha256(location: str) -> str:
    """Hexadecimal SHA-256 of a file's stored bytes; transforms.base.files takes Beam, which is slow to import."""
    filesystem, path = locate(location)
    with filesystem.open_input_stream(path, compression=None) as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


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
        path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, in the form that the file's name ends in; errors as of `writing`."""
    with writing(path):
        TABLE_WRITERS[path.suffix](pa.Table.from_pylist(rows), path)
