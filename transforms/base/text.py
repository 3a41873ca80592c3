"""Text files as whatever reads one sees them: unpacked, without a byte order mark, each failure a line."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, cast

from transforms.base.errors import UserError, is_one_line, one_line
from transforms.base.files import FAILURES, open_input

# How the names of tables in text end, each also with .gz after it.
JSON_LINES = (".jsonl", ".ndjson", ".json")
TABLES = (".csv", ".tsv", *JSON_LINES)
_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # its byte order marks
_SEPARATORS = ";\t|,"


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


@contextmanager
def open_text(location: str) -> Iterator[BinaryIO]:
    """A text file's bytes from behind its byte order mark; gzip is known by its first bytes, whatever the name.

    Raises:
        UserError: as of `reading`, also while the body reads; the text is UTF-16, as Windows calls Unicode.
    """
    with reading(location), open_input(location) as raw:
        stored = io.BufferedReader(raw)  # type: ignore[type-var]
        packed = stored.peek(2).startswith(_GZIP_MAGIC)
        stream = io.BufferedReader(gzip.GzipFile(fileobj=stored)) if packed else stored
        if stream.peek(len(_BYTE_ORDER_MARK)).startswith(_BYTE_ORDER_MARK):
            stream.read(len(_BYTE_ORDER_MARK))
        if stream.peek(2).startswith(_UTF_16):
            raise UserError(f"{location}: is UTF-16, not UTF-8; convert the file")
        yield cast(BinaryIO, stream)


def read_lines(location: str) -> Iterator[tuple[int, bytes]]:
    """Numbers from 1 and contents of a text file's lines, without their ends and blank ones left out.

    Raises:
        UserError: the file is missing, cannot be read, or its gzip data is damaged.
    """
    with open_text(location) as stream:
        for number, line in enumerate(stream, start=1):
            content = line.rstrip(b"\r\n")
            if content.strip():
                yield number, content


def other_separator(fields: Sequence[str]) -> str:
    """What seems to stand between the columns of a first line that was taken for one field, in words after a semicolon;
    empty where nothing does."""
    sign = max(_SEPARATORS, key=fields[0].count)
    if len(fields) > 1 or sign not in fields[0]:
        return ""
    return f"; {sign!r} seems to stand between its columns: write commas (.csv) or tabs (.tsv)"
