"""Data sets times models: candidates, reranking and measures for each cell, into one directory of results.

    python -m pipelines.benchmark --models A B --datasets X Y --output results/

A cell that is done is not done again, one that was stopped goes on, and one that fails loses no other. `python -m eval
table results/` makes the comparison of it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace

from eval.ranking.summary import HEADINGS
from eval.table.cells import Cell, FailedCell, cell_path
from pipelines import rerank
from pipelines.benchmark.candidates import CandidateFiles, candidates_of
from pipelines.benchmark.cell import CellJob, Machine, make_cell, priced, settled
from pipelines.benchmark.data_sets import BenchmarkDataSet
from pipelines.benchmark.entrants import Entrant
from pipelines.benchmark.plan import known_cell, plan
from pipelines.benchmark.prepared import Prepared
from pipelines.benchmark.subprocess_job import ApartError, run_apart
from transforms.base import files
from transforms.base.errors import UserError, one_line
from transforms.base.hub import from_cache_alone
from transforms.base.json_text import indented
from transforms.base.words import number_of
from transforms.job.lock import lock
from transforms.layout import SUCCESS

NOT_FINISHED = "begun anew with other options or data, and not finished"


def estimate(prepared: Prepared) -> int:
    """Report what would run, as far as it can be known from what is on this machine; nothing is written."""
    with from_cache_alone():
        print(plan(prepared))
    return 0


def run(prepared: Prepared) -> int:
    """Do all cells, or what is missing of them; returns the exit code.

    Raises:
        KeyboardInterrupt: the user stopped it, after the shard in hand.
    """
    with lock(prepared.inputs.output):
        missing = unavailable(prepared.inputs.entrants, prepared.machine)  # before hours of work for them
        number, failures = 0, []
        for data in prepared.inputs.data_sets:
            if len(missing) < len(prepared.inputs.entrants):
                candidates = candidates_or_reason(data, prepared)
            else:
                candidates = "no candidates: all models are unavailable"
            for model in prepared.inputs.entrants:
                number += 1
                print(f"[{number}/{prepared.cells}] {model.name} on {data.name}", flush=True)
                try:
                    if model in missing:
                        raise ApartError(missing[model])
                    if isinstance(candidates, str):
                        raise ApartError(candidates)
                    cell, old = do_cell(prepared.work(model, candidates), prepared)
                    print(f"{in_a_line(cell)}{', done before' if old else ''}", flush=True)
                except Exception as error:
                    failures.append(FailedCell(model.name, data.name, reason(error)))
                    print(f"failed: {failures[-1].failed}", file=sys.stderr, flush=True)
                    note_failure(prepared.inputs.output, failures[-1])
        return finish(prepared, failures)


def finish(prepared: Prepared, failures: Sequence[FailedCell]) -> int:
    """Report how it went; returns the exit code."""
    for failure in failures:
        print(f"error: {failure.model} on {failure.dataset}: {failure.failed}", file=sys.stderr)
    done, total = prepared.cells - len(failures), prepared.cells
    print(
        f"{done} of {number_of(total, 'cell', 'cells')} done; python -m eval table {prepared.request.output} shows them"
    )
    return 1 if failures else 0


def candidates_or_reason(data: BenchmarkDataSet, prepared: Prepared) -> CandidateFiles | str:
    """A data set's candidates, made if need be, or why there are none."""
    try:
        return candidates_of(data, prepared.request, prepared.inputs.output, prepared.words)
    except Exception as error:
        return f"no candidates: {reason(error)}"


def unavailable(entrants: Sequence[Entrant], machine: Machine) -> dict[Entrant, str]:
    """The models that are unavailable or cannot run here, and why, which is reported on stderr."""
    reasons: dict[Entrant, str] = {}
    for model in entrants:
        try:
            settled(model, machine)
        except Exception as error:
            reasons[model] = reason(error)
            print(f"{model.name} is unavailable: {reasons[model]}", file=sys.stderr, flush=True)
    return reasons


def reason(error: Exception) -> str:
    """Why a cell failed, in one line; what nobody foresaw is also reported in full, on stderr."""
    if not isinstance(error, UserError | ApartError):
        logging.error("unforeseen", exc_info=error)
    return one_line(error)


def do_cell(work: CellJob, prepared: Prepared) -> tuple[Cell, bool]:
    """A cell, and whether it was done before.

    Raises:
        UserError: it cannot be done, for a reason that the user can fix.
        ApartError: its job failed or died.
        KeyboardInterrupt: the user stopped it.
    """
    output, price_per_hour = prepared.inputs.output, prepared.request.price_per_hour
    path = cell_path(output, work.entrant.name, work.candidates.data.name)
    earlier = known_cell(path)
    if isinstance(earlier, Cell) and earlier.fingerprint == work.fingerprint:
        price = earlier.run["price_per_hour"] if price_per_hour is None else price_per_hour
        cell = replace(earlier, run=priced(earlier.run, earlier.pairs, price), outdated=None)
        if cell != earlier:
            write_cell(path, cell)
        return cell, True
    if isinstance(earlier, Cell):
        write_cell(path, replace(earlier, outdated=NOT_FINISHED))
    if not files.exists(files.join(work.job_directory(output), SUCCESS)):
        code = run_apart(rerank.do_job, work.request(output), work.beam)
        if code:
            raise ApartError(f"its job ended with exit code {code}, see above")
    cell = make_cell(work, output, price_per_hour)
    write_cell(path, cell)
    return cell, False


def in_a_line(cell: Cell) -> str:
    """A cell's figures in a line."""
    main = cell.measures[0]
    before = [f"{words} {main[name]:.4f}" for name, words in HEADINGS.items() if name in main]
    return f"{cell.measure} {cell.value:.4f}, {before[0] if before else 'first stage not known'}"


def note_failure(output: str, failure: FailedCell) -> None:
    """Keep why a cell is missing, or why the one that was measured with other options or data is not done again."""
    path = cell_path(output, failure.model, failure.dataset)
    earlier = known_cell(path)
    write_cell(path, replace(earlier, outdated=failure.failed) if isinstance(earlier, Cell) else failure)


def write_cell(path: str, cell: Cell | FailedCell) -> None:
    content = asdict(cell) if isinstance(cell, Cell) else cell._asdict()
    files.write_text_atomically(path, indented(content))
