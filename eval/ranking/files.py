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
