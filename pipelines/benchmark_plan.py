"""What a benchmark would do: which cells, how many pairs, how long, at what cost. Loads and fetches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from eval.cells import Cell, Failure, cell_path, read_cell
from eval.summary import align
from pipelines.dry_run import duration
from transforms import files
from transforms.errors import UserError


class Planned(NamedTuple):
    """A cell as it stands before the work.

    Attributes:
        model: its name.
        dataset: its name.
        pairs: of the candidates; None where these are not made yet.
        done: what is known of it, where there is a file.
    """

    model: str
    dataset: str
    pairs: int | None
    done: Cell | None


def planned(output: str, models: Iterable[str], pairs: Mapping[str, int | None]) -> list[Planned]:
    """All cells.

    Args:
        output: directory of the results.
        models: their names.
        pairs: data set -> pairs of its candidates, None where they are not made yet.
    """
    cells = []
    for dataset, number in pairs.items():
        for model in models:
            found = known_cell(cell_path(output, model, dataset))
            done = found if isinstance(found, Cell) and found.outdated is None else None
            cells.append(Planned(model, dataset, number if done is None else done.pairs, done))
    return cells


def known_cell(path: str) -> Cell | Failure | None:
    """What a cell's file says; None where there is none, or a damaged one, which is then replaced."""
    with suppress(UserError):
        return read_cell(path) if files.exists(path) else None
    return None


def speeds(cells: Sequence[Planned], given: float | None) -> dict[str, float | None]:
    """Model -> pairs a second: over all its finished cells together, else what is given."""
    found: dict[str, float | None] = {}
    for model in dict.fromkeys(cell.model for cell in cells):
        runs = [cell.done.run for cell in cells if cell.model == model and cell.done is not None]
        timed = [run for run in runs if run["pairs_per_second"]]
        seconds = sum(run["pairs"] / run["pairs_per_second"] for run in timed)
        found[model] = sum(run["pairs"] for run in timed) / seconds if seconds else given
    return found


def render(cells: Sequence[Planned], throughput: float | None, price_per_hour: float | None) -> str:
    """The plan for people: a table with a row a cell, the sum of what is to do, and what is not known."""
    speed = speeds(cells, throughput)
    rows = [["model", "data set", "state", "pairs", "time", "cost"]]
    for cell in cells:
        seconds = None if cell.done else seconds_of(cell, speed)
        rows.append(
            [
                cell.model,
                cell.dataset,
                "done" if cell.done else "to do",
                "?" if cell.pairs is None else f"{cell.pairs:,}",
                "-" if cell.done else "?" if seconds is None else duration(seconds),
                "-" if cell.done else cost(seconds, price_per_hour),
            ]
        )
    missing = [cell for cell in cells if cell.done is None]
    times = [seconds_of(cell, speed) for cell in missing]
    known = [seconds for seconds in times if seconds is not None]
    pairs = sum(cell.pairs or 0 for cell in missing)
    lines = [*align(rows), "", f"to do: {len(missing)} of {len(cells)} cells, {pairs:,} pairs"]
    if known:
        lines[-1] += f", {duration(sum(known))}"
        lines[-1] += f", cost {cost(sum(known), price_per_hour)}" if price_per_hour is not None else ""
    if any(cell.pairs is None for cell in missing):
        lines.append("not in the sums: data sets whose candidates are not made yet, and the making of them")
    if unknown := [model for model, value in speed.items() if value is None]:
        lines.append(f"speed not known of {', '.join(unknown)}: give --throughput, in pairs a second")
    if price_per_hour is None:
        lines.append("cost not known: give --price_per_hour")
    if len(missing) < len(cells):
        lines.append("done cells whose model, options or data have changed since are done again")
    return "\n".join(lines)


def seconds_of(cell: Planned, speed: Mapping[str, float | None]) -> float | None:
    """How long a cell takes at its model's speed."""
    value = speed[cell.model]
    return None if value is None or cell.pairs is None else cell.pairs / value


def cost(seconds: float | None, price_per_hour: float | None) -> str:
    return "?" if seconds is None or price_per_hour is None else f"{seconds / 3600 * price_per_hour:,.2f}"
