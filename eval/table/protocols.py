"""Averages by another protocol than the benchmarks' own rows: other first-stage candidates, so never in one column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eval.published.scores import PROTOCOLS, SOURCES, Benchmark, Protocol, average
from eval.table.cells import Cell
from eval.table.figures import difference, hundred, known_benchmark


def protocol_of(cell: Cell) -> Protocol | None:
    """The protocol beside the benchmarks' own whose first stage made a cell's candidates."""
    retriever = cell.candidates.get("retriever")
    if known_benchmark(cell.dataset) is None:
        return None
    return next((protocol for protocol in PROTOCOLS if retriever == f"dense:{protocol.first_stage}"), None)


def protocol_sections(benchmark: Benchmark, cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """A benchmark's averages by each of the other protocols.

    Args:
        benchmark: the benchmark.
        cells: of its data sets.
    """
    return [_section(benchmark, protocol, cells) for protocol in PROTOCOLS]


def _section(benchmark: Benchmark, protocol: Protocol, cells: Sequence[Cell]) -> dict[str, Any]:
    """A row a model that is published or measured by the protocol."""
    ours = [cell for cell in cells if protocol_of(cell) == protocol]
    printed = {model: averages.get(benchmark.name) for model, averages in protocol.averages.items()}
    models = [model for model, value in printed.items() if value is not None]
    models += sorted({cell.model for cell in ours} - {*models})
    rows = []
    for model in models:
        counted = [cell for cell in ours if cell.model == model and not cell.trained_on]
        measured = average(benchmark.name, {cell.dataset: hundred(cell.value) for cell in counted})
        rows.append(
            {
                "model": model,
                "published": printed.get(model),
                "measured": measured.mean,
                "difference": difference(measured.mean, printed.get(model)),
                "count": measured.found,
                "total": measured.total,
            }
        )
    return {"first_stage": protocol.first_stage, "source": SOURCES[protocol.source].title, "rows": rows}
