"""What a benchmark would do: which cells, how many pairs, how long, at what cost. Loads and fetches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from eval.ranking.summary import align
from eval.table.cells import Cell, FailedCell, cell_files, read_cell
from pipelines.benchmark.cell import Machine, settled
from pipelines.benchmark.data_sets import BenchmarkDataSet
from pipelines.benchmark.entrants import Entrant
from pipelines.benchmark.prepared import Prepared
from pipelines.rerank.plan_lines import duration
from transforms.base import files
from transforms.base.cost import cost_of
from transforms.base.errors import UserError
from transforms.base.words import number_of
from transforms.job.record import read_job
from transforms.output.parts import committed
from transforms.scoring.places import is_hub_id


class Planned(NamedTuple):
    """A cell as it stands before the work.

    Attributes:
        model: its name.
        dataset: its name.
        pairs: of a done cell, else those left to score; None where candidates are not made yet, and their number cannot
            be known before.
        done: what is known of it, where it is done.
        at_most: whether there may be fewer pairs, since the candidates are not made yet.
        begun: whether some of its pairs are scored already.
    """

    model: str
    dataset: str
    pairs: int | None
    done: Cell | None
    at_most: bool = False
    begun: bool = False


class RequestedCell(NamedTuple):
    """A cell as it is asked for: the fingerprint that it has when done, and the pairs scored already."""

    fingerprint: str
    scored: int


class PairCount(NamedTuple):
    """Pairs of a data set's candidates: counted, or the most that there can be of candidates not made yet."""

    number: int | None
    counted: bool


def plan(prepared: Prepared) -> str:
    """What would be done, in lines for people, as far as it can be known from what is on this machine.

    Raises:
        UserError: a model is not there.
    """
    request, output, entrants = prepared.request, prepared.inputs.output, prepared.inputs.entrants
    requested: dict[tuple[str, str], RequestedCell] = {}
    for model in entrants:
        if not is_here(model, prepared.machine):
            continue
        for data, candidates in prepared.inputs.data_sets.items():
            if candidates is not None:
                cell = prepared.work(model, candidates)
                requested[model.name, data.name] = RequestedCell(
                    cell.fingerprint, scored_pairs(cell.job_directory(output))
                )
    pairs = {
        data.name: PairCount(most_pairs(data, request.depth), False)
        if candidates is None
        else PairCount(candidates.pairs, True)
        for data, candidates in prepared.inputs.data_sets.items()
    }
    names = [model.name for model in entrants]
    cells = finished(output)
    speed = speeds(names, cells, request.throughput)
    return render(planned(names, pairs, requested, cells), speed, request.price_per_hour)


def is_here(model: Entrant, machine: Machine) -> bool:
    """Whether a model is here already; raises UserError where it is neither that nor on the hub."""
    try:
        settled(model, machine)
    except UserError:
        if Path(model.where).exists() or not is_hub_id(model.where):
            raise
        return False  # nothing of it is in the cache, or a part
    return True


def most_pairs(data: BenchmarkDataSet, depth: int) -> int | None:
    """The most pairs that a data set's candidates can have; None where its queries are not known yet."""
    return None if data.known is None or data.known.judged_queries is None else data.known.judged_queries * depth


def scored_pairs(directory: str) -> int:
    """The pairs that the job of a cell has scored; 0 where it has no job."""
    job = read_job(directory)
    return sum(part.counts["pairs"] for part in committed(directory, job.fingerprint).values()) if job else 0


def planned(
    models: Iterable[str],
    pairs: Mapping[str, PairCount],
    requested: Mapping[tuple[str, str], RequestedCell],
    saved: Iterable[Cell],
) -> list[Planned]:
    """All cells.

    Args:
        models: their names.
        pairs: data set -> pairs of its candidates.
        requested: model and data set -> the cell; without those that cannot be known before something is fetched or
            made, of which each that is saved is taken for done.
        saved: the cells in the directory of results.
    """
    known = {(cell.model, cell.dataset): cell for cell in saved if cell.outdated is None}
    cells = []
    for dataset, (number, counted) in pairs.items():
        for model in models:
            done, wanted = known.get((model, dataset)), requested.get((model, dataset))
            if done is not None and (wanted is None or wanted.fingerprint == done.fingerprint):
                cells.append(Planned(model, dataset, done.pairs, done))
            else:
                scored = wanted.scored if wanted else 0
                left = None if number is None else number - scored
                cells.append(Planned(model, dataset, left, None, not counted, scored > 0))
    return cells


def finished(output: str) -> list[Cell]:
    """All cells of a directory of results, without damaged ones."""
    with suppress(OSError):
        return [cell for path in cell_files(output) if isinstance(cell := known_cell(path), Cell)]
    return []


def known_cell(path: str) -> Cell | FailedCell | None:
    """What a cell's file says; None where there is none, or a damaged one, which is then replaced."""
    with suppress(UserError):
        return read_cell(path) if files.exists(path) else None
    return None


def speeds(models: Iterable[str], cells: Sequence[Cell], throughput: float | None) -> dict[str, float | None]:
    """Model -> pairs a second: over all its finished cells together, else what is given."""
    result: dict[str, float | None] = {}
    for model in models:
        runs = [cell.run for cell in cells if cell.model == model]
        timed = [run for run in runs if run["pairs_per_second"]]
        seconds = sum(run["pairs"] / run["pairs_per_second"] for run in timed)
        result[model] = sum(run["pairs"] for run in timed) / seconds if seconds else throughput
    return result


def render(cells: Sequence[Planned], speed: Mapping[str, float | None], price_per_hour: float | None) -> str:
    """The plan for people: a table with a row a cell, the sum of what is to do, and what is not known.

    Args:
        cells: all of them.
        speed: model -> pairs a second.
        price_per_hour: of the machine, in any currency.
    """
    rows = [["model", "data set", "state", "pairs", "time", "cost"]]
    for cell in cells:
        seconds = None if cell.done else seconds_of(cell, speed)
        rows.append(
            [
                cell.model,
                cell.dataset,
                "done" if cell.done else "begun" if cell.begun else "to do",
                "?" if cell.pairs is None else f"{'at most ' if cell.at_most else ''}{cell.pairs:,}",
                "-" if cell.done else "?" if seconds is None else duration(seconds),
                "-" if cell.done else cost(seconds, price_per_hour),
            ]
        )
    missing = [cell for cell in cells if cell.done is None]
    times = [seconds_of(cell, speed) for cell in missing]
    known = [seconds for seconds in times if seconds is not None]
    pairs = sum(cell.pairs or 0 for cell in missing)
    lines = [
        *align(rows),
        "",
        f"to do: {len(missing)} of {number_of(len(cells), 'cell', 'cells')}, {number_of(pairs, 'pair', 'pairs')}",
    ]
    if known:
        lines[-1] += f", {duration(sum(known))}"
        lines[-1] += f", cost {cost(sum(known), price_per_hour)}" if price_per_hour is not None else ""
    if any(cell.pairs is None for cell in missing):
        lines.append("not in the sums: data sets of which the number of queries is known only with their candidates")
    if any(cell.pairs is None or cell.at_most for cell in missing):
        lines.append("not in the sums: the making of candidates, which are not there yet")
    if unknown := [model for model, value in speed.items() if value is None]:
        lines.append(f"speed not known of {', '.join(unknown)}: give --throughput, in pairs a second")
    if price_per_hour is None:
        lines.append("cost not known: give --price_per_hour")
    return "\n".join(lines)


def seconds_of(cell: Planned, speed: Mapping[str, float | None]) -> float | None:
    """How long a cell takes at its model's speed."""
    value = speed[cell.model]
    return None if value is None or cell.pairs is None else cell.pairs / value


def cost(seconds: float | None, price_per_hour: float | None) -> str:
    return "?" if seconds is None or price_per_hour is None else f"{cost_of(seconds, price_per_hour):,.2f}"
