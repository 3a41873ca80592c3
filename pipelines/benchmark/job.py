"""Data sets times models: candidates, reranking and measures for each cell, into one directory of results.

    python -m pipelines.benchmark --models A B --datasets X Y --output results/

A cell that is done is not done again, one that was stopped goes on, and one that fails loses no other. `python -m eval
table results/` makes the comparison of it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from apache_beam.io.filesystems import FileSystems

from eval.ranking.summary import HEADINGS
from eval.table.cells import Cell, Failure, cell_path
from pipelines.benchmark.candidates import Candidates, candidates_of, ready
from pipelines.benchmark.cell import (
    RUN_OPTIONS,
    Machine,
    Work,
    check_asked,
    make_cell,
    priced,
    rerank,
    settled,
    work_of,
)
from pipelines.benchmark.entrants import DataSet, Entrant, data_sets, entrant
from pipelines.benchmark.options import build_parser
from pipelines.benchmark.plan import known_cell, plan
from pipelines.benchmark.request import BenchmarkRequest
from pipelines.benchmark.subprocess_job import ApartError, run_apart
from pipelines.running.beam_options import parse
from pipelines.running.options import MODEL_OPTIONS, names_of
from pipelines.running.runner import runner_of
from transforms.base import files
from transforms.base.errors import UserError, one_line
from transforms.base.hub import from_cache_alone
from transforms.job.lock import lock
from transforms.layout import SUCCESS

NOT_FINISHED = "begun anew with other options or data, and not finished"


def do(request: BenchmarkRequest, words: Sequence[str]) -> int:
    """Make the cells that are missing, or plan them; returns the exit code.

    Args:
        request: of the benchmark.
        words: for Beam, in each of the jobs.

    Raises:
        UserError: a mistake that the user can fix.
        KeyboardInterrupt: the user stopped it.
    """
    beam_options = parse(words, names_of(build_parser()))
    FileSystems.set_options(beam_options)  # as each job does for itself
    _, local = runner_of(beam_options)
    entrants = distinct("--models", [entrant(text) for text in request.models])
    sets = distinct("--datasets", [data for text in request.datasets for data in data_sets(text)])
    output = files.absolute(request.output)
    there = {data: ready(data, request, output) for data in sets}  # a mistyped path shows before hours of work
    machine = Machine(request.device, request.dtype, request.attention, elsewhere=not local)
    asked = {name: getattr(request, name) for name in MODEL_OPTIONS}
    run = {name: getattr(request, name) for name in RUN_OPTIONS}
    work = partial(work_of, asked=asked, run=run, beam=words, machine=machine)
    if request.plan:
        with from_cache_alone():
            check_asked(entrants, asked, machine)
            print(plan(output, entrants, there, request, work, machine))
        return 0
    check_asked(entrants, asked, machine)
    with lock(output):
        return do_benchmark(output, entrants, sets, request, words, work, machine)


def distinct(option: str, named: list[Any]) -> list[Any]:
    """The same, after a check that no two have one name.

    Raises:
        UserError: two have.
    """
    names = [each.name for each in named]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{option}: {name} is there twice; leave one out, or name it otherwise with NAME=...")
    return named


def do_benchmark(
    output: str,
    entrants: Sequence[Entrant],
    sets: Sequence[DataSet],
    request: BenchmarkRequest,
    beam: Sequence[str],
    work: Callable[[Entrant, Candidates], Work],
    machine: Machine,
) -> int:
    """Do all cells, or what is missing of them; returns the exit code.

    Args:
        output: directory of the results.
        entrants: the models.
        sets: the data sets.
        request: of the command.
        beam: options of Beam's runner, as given.
        work: the cell of a model and candidates.
        machine: where the models run.

    Raises:
        KeyboardInterrupt: the user stopped it, after the shard in hand.
    """
    failures: list[Failure] = []
    lacking = unavailable(entrants, machine)  # before hours of work for them
    number, total = 0, len(sets) * len(entrants)
    for data in sets:
        candidates: Candidates | str = "no candidates: all models are unavailable"
        try:
            if len(lacking) < len(entrants):
                candidates = candidates_of(data, request, output, beam)
        except Exception as error:
            candidates = f"no candidates: {reason(error)}"
        for model in entrants:
            number += 1
            print(f"[{number}/{total}] {model.name} on {data.name}", flush=True)
            try:
                if model in lacking:
                    raise ApartError(lacking[model])
                if isinstance(candidates, str):
                    raise ApartError(candidates)
                cell, old = do_cell(work(model, candidates), output, request.price_per_hour)
                print(f"{in_a_line(cell)}{', done before' if old else ''}", flush=True)
            except Exception as error:
                failures.append(Failure(model.name, data.name, reason(error)))
                print(f"failed: {failures[-1].failed}", file=sys.stderr, flush=True)
                note_failure(output, failures[-1])
    for failure in failures:
        print(f"error: {failure.model} on {failure.dataset}: {failure.failed}", file=sys.stderr)
    print(f"{total - len(failures)} of {total} cells done; python -m eval table {request.output} shows them")
    return 1 if failures else 0


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


def do_cell(work: Work, output: str, price_per_hour: float | None) -> tuple[Cell, bool]:
    """A cell, and whether it was done before.

    Raises:
        UserError: it cannot be done, for a reason that the user can fix.
        ApartError: its job failed or died.
        KeyboardInterrupt: the user stopped it.
    """
    path = cell_path(output, work.entrant.name, work.candidates.data.name)
    found = known_cell(path)
    if isinstance(found, Cell) and found.fingerprint == work.fingerprint:
        price = found.run["price_per_hour"] if price_per_hour is None else price_per_hour
        cell = replace(found, run=priced(found.run, found.pairs, price), outdated=None)
        if cell != found:
            write_json(path, asdict(cell))
        return cell, True
    if isinstance(found, Cell):
        write_json(path, asdict(replace(found, outdated=NOT_FINISHED)))
    if not files.exists(files.join(work.job_directory(output), SUCCESS)):
        code = run_apart(rerank, work.request(output), work.beam)
        if code:
            raise ApartError(f"its job ended with exit code {code}, see above")
    cell = make_cell(work, output, price_per_hour)
    write_json(path, asdict(cell))
    return cell, False


def in_a_line(cell: Cell) -> str:
    """A cell's figures in a line."""
    main = cell.measures[0]
    before = [f"{words} {main[name]:.4f}" for name, words in HEADINGS.items() if name in main]
    return f"{cell.measure} {cell.value:.4f}, {before[0] if before else 'first stage not known'}"


def note_failure(output: str, failure: Failure) -> None:
    """Keep why a cell is missing, or why the one that was measured with other options or data is not done again."""
    path = cell_path(output, failure.model, failure.dataset)
    found = known_cell(path)
    kept = asdict(replace(found, outdated=failure.failed)) if isinstance(found, Cell) else failure._asdict()
    write_json(path, kept)


def write_json(path: str, content: Mapping[str, Any]) -> None:
    files.write_text_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
