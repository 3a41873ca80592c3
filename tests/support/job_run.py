"""Running the main job in tests, and reading what it leaves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.rerank.__main__ import main
from tests.support.input_files import candidate, nested_table, query, write
from transforms.layout import PART_PATTERN, REJECTED_DIRECTORY, REPORT, SCORED_DIRECTORY

RUNNER = "--runner=FnApiRunner"


def rerank(source: Path | Sequence[Path], output: Path, model: Path | str, *options: str) -> int:
    """The job's exit code; in float32, so that machines agree."""
    sources = [source] if isinstance(source, Path) else source
    return main(
        [
            *("--input", *map(str, sources), "--output", str(output), "--model", str(model)),
            *("--dtype", "float32", RUNNER, *options),
        ]
    )


def parts(output: Path) -> dict[str, bytes]:
    """The part files' bytes by their path in the output."""
    return {str(path.relative_to(output)): path.read_bytes() for path in sorted(output.glob(f"*/{PART_PATTERN}"))}


def rows(output: Path, folder: str = SCORED_DIRECTORY) -> list[dict[str, Any]]:
    """All rows of the scored or rejected parts, in the order of the parts."""
    tables = [pq.ParquetFile(path).read(use_threads=False) for path in sorted((output / folder).glob(PART_PATTERN))]
    return [row for table in tables for row in table.to_pylist()]


def scores(output: Path) -> dict[tuple[str, str], float]:
    return {(row["query_id"], row["doc_id"]): row["score"] for row in rows(output)}


def reasons(output: Path) -> list[tuple[str | None, str | None, int | None, str]]:
    """(query id, document id, candidates, reason) of each rejected row, sorted."""
    rejected = [
        (row["query_id"], row["doc_id"], row["n_candidates"], row["reason"]) for row in rows(output, REJECTED_DIRECTORY)
    ]
    return sorted(rejected, key=str)


def report(output: Path) -> dict[str, Any]:
    return dict(json.loads((output / REPORT).read_text(encoding="utf-8")))


def letters(queries: int, candidates: int, first: int = 0) -> pa.Table:
    """Lists of documents of letters, all different, for the tiny models."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"

    def text(number: int) -> str:
        return " ".join(alphabet[(number * step + step) % 26] for step in range(1, 3 + number % 5))

    return nested_table(
        [
            query(f"q{q}", [candidate(f"d{d}", text(q * candidates + d)) for d in range(candidates)], text(q))
            for q in range(first, first + queries)
        ]
    )


def write_letters(path: Path, queries: int, candidates: int, first: int = 0, row_group_size: int = 2) -> Path:
    return Path(write(path, letters(queries, candidates, first), row_group_size=row_group_size))
