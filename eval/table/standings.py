"""How sure a data set's figures are: intervals, and which models do not differ from the best by more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eval.ranking.significance import compare, holm, mean_interval
from eval.table.cells import Cell
from eval.table.values import Values

ALPHA = 0.05
CERTAINTY = (
    "Bold are the best model of a data set and those that are not distinguishable from it: by a paired permutation "
    f"test with it, corrected by Holm for the models of the data set, p is {ALPHA} or more. Intervals are of the mean, "
    "95 %, by Student's t. A cell without values query by query, as older ones are, has no interval and is not tested. "
    "Costs are of all pairs at the speed shown, in the currency of --price_per_hour."
)


class Standing(NamedTuple):
    """A model among those of its data set.

    Attributes:
        low, high: 95 % interval of its mean, 0 to 1; None where its values are unknown or do not vary.
        best: whether it is the best, or not distinguishable from it; False where that is not tested: it is the only
            one, its values or the best one's are unknown, or it was trained on this data set.
    """

    low: float | None
    high: float | None
    best: bool


def standings(cells: Sequence[Cell], values: Mapping[tuple[str, str], Mapping[str, Values]]) -> list[Standing]:
    """The standing of each of a data set's cells.

    The best is compared with each other one by the permutation test of `significance.compare` over all queries of the
    judgements, corrected by Holm for their number. A model without values, or with other judgements, is not tested.

    Args:
        cells: of one data set, by one measure.
        values: of them, as far as they are known: model and data set -> measure -> values.
    """
    known = {cell.model: values.get((cell.model, cell.dataset), {}).get(cell.measure) for cell in cells}
    ranked = sorted((cell for cell in cells if not cell.trained_on), key=lambda cell: -cell.value)
    best: set[str] = set()
    if len(cells) > 1 and ranked and known[ranked[0].model]:
        first, *others = ranked
        tested = [cell for cell in others if known[cell.model] and _judged_alike(first, cell)]
        p_values = holm([compare(*_paired(first, cell, known)).p_permutation for cell in tested])
        alike = (cell.model for cell, p in zip(tested, p_values, strict=True) if p is not None and p >= ALPHA)
        best = {first.model, *alike}
    return [Standing(*_interval(cell, known[cell.model]), cell.model in best) for cell in cells]


def _interval(cell: Cell, values: Values | None) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    return mean_interval([*values.values(), *[0.0] * (cell.queries["in_qrels"] - len(values))]) or (None, None)


def _paired(first: Cell, second: Cell, known: Mapping[str, Values | None]) -> tuple[list[float], list[float]]:
    """Both cells' values of the same queries, all that are averaged over."""
    before, after = known[first.model] or {}, known[second.model] or {}
    queries = {**before, **after}
    rest = [0.0] * (first.queries["in_qrels"] - len(queries))
    return (
        [*(before.get(query, 0.0) for query in queries), *rest],
        [*(after.get(query, 0.0) for query in queries), *rest],
    )


def _judged_alike(first: Cell, second: Cell) -> bool:
    keys = ("judgements_sha256", "identical_ids_left_out")
    return [first.candidates.get(key) for key in keys] == [second.candidates.get(key) for key in keys]
