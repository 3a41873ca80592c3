"""Cells of a benchmark as literal files, for what reads them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from eval.published.scores import BENCHMARKS, published
from eval.table.cells import Cell, cell_path, read_cells
from transforms.base.errors import UserError

TABLE_FIRST_STAGE = "dense:jinaai/jina-embeddings-v3"

PLAIN = Cell(
    model="small-cross-encoder",
    dataset="own",
    measure="nDCG@10",
    value=0.5,
    first_stage=0.4,
    list_recall=0.9,
    trained_on=None,
    parameters=0.019,
    queries={"in_qrels": 10, "with_candidates": 9, "without_candidates": 1},
    pairs=900,
    depth=100,
    languages={},
    measures=[{"measure": "nDCG@10", "first_stage": 0.4, "reranked": 0.5, "difference": 0.1}],
    candidates={
        "retriever": None,
        "files": [{"path": "a.parquet", "size": 1, "footer_hash": "f"}],
        "judgements": "a.qrels",
        "judgements_sha256": "j",
        "provenance": {},
        "identical_ids_left_out": False,
    },
    reranker={"loaded_from": "small-cross-encoder", "licence": "Apache-2.0", "family": "cross_encoder"},
    departures={},
    execution={"device": "cpu", "dtype": "float32", "kernel": "packed_sdpa"},
    run={"seconds": 9.0, "pairs": 900, "pairs_per_second": 100.0, "price_per_hour": 2.0, "cost": 0.005},
    truncated={"documents": 0, "queries": 0, "tokens": 0, "documents_in_windows": None},
    rejected={"pairs": 0, "by_reason": {}},
    notes=[],
    versions={"python": "3.11.7"},
    made="2026-01-01T00:00:00+00:00",
    fingerprint="0",
    outdated=None,
)


def cell(model: str, dataset: str, value: float, retriever: str | None = None, **fields: Any) -> Cell:
    """A cell of a model on a data set; `retriever` made its candidates."""
    candidates = {**PLAIN.candidates, "retriever": retriever}
    return replace(PLAIN, model=model, dataset=dataset, value=value, candidates=candidates, **fields)


def benchmark(model: str, name: str, added: float = 0.0) -> list[Cell]:
    """Cells on all data sets of a benchmark as the paper has them, each with some points added, by its own protocol."""
    retriever = f"dense:{BENCHMARKS[name].first_stage}"
    values = {dataset: published(model, dataset) for dataset in BENCHMARKS[name].datasets}
    return [
        cell(model, dataset, (value + added) / 100, retriever) for dataset, value in values.items() if value is not None
    ]


def write(directory: Path, *cells: Cell) -> None:
    for each in cells:
        path = Path(cell_path(str(directory), each.model, each.dataset))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(each)), encoding="utf-8")


def write_failure(directory: Path, model: str, dataset: str, failed: str) -> None:
    path = Path(cell_path(str(directory), model, dataset))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"model": model, "dataset": dataset, "failed": failed}), encoding="utf-8")


RUNNER = "--runner=FnApiRunner"


def cells_of(output: Path) -> dict[tuple[str, str], Cell]:
    return {(cell.model, cell.dataset): cell for cell in read_cells(str(output))[0]}


def complain(kind: object, *_: object) -> int:
    raise UserError("fix it") if kind == "user" else ZeroDivisionError("a bug")
