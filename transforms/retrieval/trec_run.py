"""A TREC run as the first stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.base import files
from transforms.base.errors import UserError
from transforms.base.text import read_lines
from transforms.base.trec import RUN_FIELDS, parse_run_line
from transforms.retrieval import step_files

_ROWS = 1 << 16


def write_hits(run: str, path: str) -> None:
    """Commits a run's lines, whatever their number, as one file of hits. As for trec_eval the score alone counts.

    Raises:
        UserError: the run cannot be read, is empty, or has a malformed line.
    """
    files.write_atomically(path, lambda stream: _convert(run, stream))


def _convert(run: str, target: BinaryIO) -> None:
    with pq.ParquetWriter(target, step_files.HITS, compression="zstd") as writer:
        rows: list[tuple[str, str, float]] = []
        empty = True
        for row in _lines(run):
            rows.append(row)
            if len(rows) == _ROWS:
                writer.write_table(_table(rows))
                rows, empty = [], False
        if rows:
            writer.write_table(_table(rows))
        elif empty:
            raise UserError(f"{run}: no line in it; give a run of lines '{' '.join(RUN_FIELDS)}'")


def _table(rows: list[tuple[str, str, float]]) -> pa.Table:
    return pa.table(list(zip(*rows, strict=True)), schema=step_files.HITS)


def _lines(run: str) -> Iterator[tuple[str, str, float]]:
    return (parse_run_line(line, f"{run}: line {number}") for number, line in read_lines(run))
