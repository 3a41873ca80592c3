"""A benchmark of which everything is checked that can be before the hours of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from apache_beam.io.filesystems import FileSystems

from pipelines.benchmark.candidates import Candidates, ready
from pipelines.benchmark.cell import Machine, Work, asked_of_models, check_asked, work_of
from pipelines.benchmark.data_sets import DataSet, data_sets
from pipelines.benchmark.entrants import Entrant, entrant
from pipelines.benchmark.options import build_parser
from pipelines.benchmark.request import BenchmarkRequest
from pipelines.running.beam_options import parse
from pipelines.running.options import names_of
from pipelines.running.runner import runner_of
from transforms.base import files
from transforms.base.errors import UserError
from transforms.base.hub import from_cache_alone


@dataclass(frozen=True)
class Prepared:
    """What is to be compared, and where.

    Attributes:
        request: what was asked for.
        words: for Beam, in each of the jobs.
        machine: where the models run.
        output: directory of the results, absolute.
        entrants: the models.
        data_sets: each, and its candidates where these are made.
    """

    request: BenchmarkRequest
    words: tuple[str, ...]
    machine: Machine
    output: str
    entrants: Sequence[Entrant]
    data_sets: Mapping[DataSet, Candidates | None]

    @property
    def cells(self) -> int:
        """How many there are."""
        return len(self.entrants) * len(self.data_sets)

    def work(self, model: Entrant, candidates: Candidates) -> Work:
        """The cell of a model and candidates; raises UserError where the model is unavailable, or cannot run so."""
        return work_of(model, candidates, self.request, self.words, self.machine)


def prepare(request: BenchmarkRequest, words: Sequence[str]) -> Prepared:
    """Check all that can be checked before the work begins; nothing is written. For a plan nothing is fetched.

    Raises:
        UserError: a mistake that the user can fix.
    """
    beam_options = parse(words, names_of(build_parser()))
    FileSystems.set_options(beam_options)  # as each job does for itself
    _, local = runner_of(beam_options)
    entrants = distinct("--models", [entrant(text) for text in request.models])
    sets = distinct("--datasets", [data for text in request.datasets for data in data_sets(text)])
    output = files.absolute(request.output)
    candidates = {data: ready(data, request, output) for data in sets}  # a mistyped path shows before hours of work
    machine = Machine(request.device, request.dtype, request.attention, elsewhere=not local)
    with from_cache_alone() if request.plan else nullcontext():
        check_asked(entrants, asked_of_models(request), machine)
    return Prepared(request, tuple(words), machine, output, entrants, candidates)


def distinct(option: str, named: list[Any]) -> list[Any]:
    """The same, after a check that no two have one name.

    Raises:
        UserError: two have.
    """
    names = [each.name for each in named]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{option}: {name} appears twice; leave one out, or name it otherwise with NAME=...")
    return named
