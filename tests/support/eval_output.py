"""A job's output directory as evaluation finds it, made from literal rows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eval.__main__ import main
from transforms.layout import JOB, PARQUET, REJECTED_DIRECTORY, SCORED_DIRECTORY, SUCCESS, part_name
from transforms.schema import IN_INPUT_ORDER, RECORD_KEY, REJECTED, SCORED

Row = tuple[str, str, float, int | None]  # query id, document id, score, first-stage rank
PART = part_name(0, 0, 0)


def write_scored(directory: Path, rows: Iterable[Row], part: str = PART) -> None:
    """One scored part; `rank` as the main job gives it, by score and then document id, both descending."""
    lists: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        lists[row[0]].append(row)
    records = []
    for query_rows in lists.values():
        for rank, row in enumerate(sorted(query_rows, key=lambda row: (row[2], row[1]), reverse=True), start=1):
            query_id, doc_id, score, first_stage_rank = row
            record = {"query_id": query_id, "doc_id": doc_id, "rank": rank, "score": score}
            records.append(dict.fromkeys(SCORED.names) | record | {"first_stage_rank": first_stage_rank})
    _write(directory / SCORED_DIRECTORY / f"{part}{PARQUET}", records, SCORED)


def write_rejected(directory: Path, rows: Sequence[Mapping[str, Any]], part: str = PART) -> None:
    """One rejected part."""
    records = [dict.fromkeys(REJECTED.names) | {"reason": "null_text"} | dict(row) for row in rows]
    _write(directory / REJECTED_DIRECTORY / f"{part}{PARQUET}", records, REJECTED)


def finish(directory: Path, **options: Any) -> None:
    """job.json and _SUCCESS."""
    (directory / JOB).write_text(json.dumps({"options": options}))
    (directory / SUCCESS).touch()


def in_input_order(directory: Path) -> None:
    """Makes the scored parts those of a job whose candidates had neither ranks nor scores."""
    for path in (directory / SCORED_DIRECTORY).iterdir():
        table = pq.ParquetFile(path).read()
        record = json.dumps({"counts": {IN_INPUT_ORDER: table.num_rows}})
        pq.write_table(table.replace_schema_metadata({RECORD_KEY: record}), path)


def _write(path: Path, records: list[dict[str, Any]], schema: pa.Schema) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(records, schema=schema), path)


def compared(folder: Path, *arguments: str) -> dict[str, Any]:
    path = folder / "compared.json"
    command = ["compare", *arguments, "--qrels", str(folder / "qrels"), "--measures", "RR@10", "--json", str(path)]
    assert main(command) == 0
    return dict(json.loads(path.read_text(encoding="utf-8")))
