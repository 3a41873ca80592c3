"""Writes local files, each failure a line. Knows nothing of what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from transforms.base import files
from transforms.base.errors import UnavailableError, one_line
from transforms.base.json_text import indented

TABLE_WRITERS: dict[str, Callable[[pa.Table, BinaryIO], None]] = {
    ".parquet": pq.write_table,
    ".csv": lambda table, stream: pa.csv.write_csv(table, stream),
    ".tsv": lambda table, stream: pa.csv.write_csv(table, stream, pa.csv.WriteOptions(delimiter="\t")),
}


def output_refusals(outputs: Mapping[str, Path | None]) -> Iterator[str]:
    """What would stop files from being written, or have one replace another, a part of a line each.

    Args:
        outputs: option -> the file that it names, None where it is not given; that of --per_query is a table.
    """
    written: dict[Path, str] = {}
    for option, path in outputs.items():
        if path is None:
            continue
        if option == "--per_query" and path.suffix not in TABLE_WRITERS:
            yield f"--per_query {path}: the name must end in {' or '.join(TABLE_WRITERS)}"
        if path.is_dir():
            yield f"{option} {path}: is a directory; name a file"
        elif not path.parent.is_dir():
            yield f"{option} {path}: there is no directory {path.parent}; make it first"
        elif path.resolve() in written:
            yield f"{written[path.resolve()]} and {option} {path}: give each a name of its own"
        written[path.resolve()] = option


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an OSError of the body, which writes the file, into one line.

    Raises:
        UnavailableError: it cannot be written; the disk is full, say.
    """
    try:
        yield
    except OSError as problem:
        raise UnavailableError(f"{path} cannot be written: {one_line(problem)}") from problem


def write(path: Path, fill: Callable[[BinaryIO], None]) -> None:
    """Write a file whole or not at all, so that a full disk takes no older one.

    What can have no other file beside it is written as it is: pipes, devices, the file that standard output goes to,
    and a file in a directory that cannot be written to.

    Raises:
        UnavailableError: it cannot be written; the disk is full, say.
    """
    with writing(path):
        before = path.stat() if path.exists() else None
        if before and not (path.is_file() and os.access(path.resolve().parent, os.W_OK) and not _is_output(before)):
            with path.open("wb") as stream:
                fill(stream)
            return
        try:
            files.write_unflushed(str(path.resolve()), fill)
            if before:
                path.chmod(before.st_mode)
        except UnavailableError as error:  # it speaks of a job
            raise error.__cause__ or error from None


def _is_output(file: os.stat_result) -> bool:
    """Whether standard output or error goes to the file."""
    with suppress(OSError):  # one is closed
        return any(os.path.samestat(file, os.fstat(number)) for number in (1, 2))
    return False


def write_text(path: Path, text: str) -> None:
    """Write a text; errors as of `write`."""

    def fill(stream: BinaryIO) -> None:
        stream.write(text.encode("utf-8"))

    write(path, fill)


def write_json(path: Path, value: Any) -> None:
    """Write a report; errors as of `write`."""
    write_text(path, indented(value))


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, in the form that the file's name ends in; errors as of `write`."""
    write(path, partial(TABLE_WRITERS[path.suffix], pa.Table.from_pylist(rows)))
