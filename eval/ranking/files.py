"""Writes local files, each failure a line. Knows nothing of what is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from transforms.base.errors import UnavailableError, one_line
from transforms.base.json_text import indented

TABLE_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".parquet": pq.write_table,
    ".csv": lambda table, path: pa.csv.write_csv(table, path),
    ".tsv": lambda table, path: pa.csv.write_csv(table, path, pa.csv.WriteOptions(delimiter="\t")),
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
