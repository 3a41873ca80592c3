"""Cells as a table is asked to show them: by another measure, or over the queries with candidates alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from eval.table.cells import Cell
from transforms.base.errors import UserError


def as_asked(cell: Cell, measures: Sequence[str], only_run_queries: bool) -> Cell:
    """A cell whose figures are those that are asked for.

    A query without candidates counts 0 by every measure, so a mean over the others is the larger by their share alone.

    Args:
        cell: as it was made.
        measures: names; the first that the cell has is the main one then, and `measures` of the cell those that it has.
            Empty for all, as they are.
        only_run_queries: whether to average over the queries with candidates alone.

    Raises:
        UserError: the cell was measured by none of them.
    """
    rows = {row["measure"]: row for row in cell.measures}
    wanted = [name for name in measures if name in rows] or list({} if measures else rows)
    if not wanted:
        raise UserError(
            f"--measures {' '.join(measures)}: {cell.model} on {cell.dataset} was measured by {', '.join(rows)} alone"
        )
    if measures and wanted[0] != cell.measure:
        cell = replace(
            cell,
            measure=wanted[0],
            value=rows[wanted[0]]["reranked"],
            first_stage=rows[wanted[0]].get("first_stage"),
            languages={},
            departures={**cell.departures, "measure": wanted[0]},  # published figures are by another
        )
    cell = replace(cell, measures=[rows[name] for name in wanted])
    return _over_answered(cell) if only_run_queries else cell


def _over_answered(cell: Cell) -> Cell:
    answered = cell.queries["with_candidates"]
    larger = cell.queries["in_qrels"] / answered if answered else 1.0

    def scaled(value: Any) -> Any:
        return value * larger if isinstance(value, float) else value

    return replace(
        cell,
        value=scaled(cell.value),
        first_stage=scaled(cell.first_stage),
        list_recall=scaled(cell.list_recall),
        measures=[{name: scaled(value) for name, value in row.items()} for row in cell.measures],
        queries={"in_qrels": answered, "with_candidates": answered, "without_candidates": 0},
    )
