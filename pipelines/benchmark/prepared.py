"""A benchmark of which everything is checked that can be before the hours of work."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from pipelines.benchmark.candidates import CandidateFiles
from pipelines.benchmark.cell import CellJob, Machine, check_options, work_of
from pipelines.benchmark.entrants import Entrant
from pipelines.benchmark.inputs import BenchmarkInputs
from pipelines.benchmark.options import build_parser
from pipelines.benchmark.request import BenchmarkRequest
from pipelines.running.runner import use_words
from transforms.base.hub import from_cache_alone


@dataclass(frozen=True)
class Prepared:
    """What is to be compared, and where.

    Attributes:
        request: what was asked for.
        words: for Beam, in each of the jobs.
        machine: where the models run.
        inputs: the models and the data sets.
    """

    request: BenchmarkRequest
    words: tuple[str, ...]
    machine: Machine
    inputs: BenchmarkInputs

    @property
    def cells(self) -> int:
        """How many there are."""
        return len(self.inputs.entrants) * len(self.inputs.data_sets)

    def work(self, model: Entrant, candidates: CandidateFiles) -> CellJob:
        """The cell of a model and candidates; raises UserError where the model is unavailable, or cannot run so."""
        return work_of(model, candidates, self.request, self.words, self.machine)


def prepare(request: BenchmarkRequest, words: Sequence[str], inputs: BenchmarkInputs) -> Prepared:
    """Check all else that can be checked before the work begins; nothing is written. For a plan nothing is fetched.

    Raises:
        UserError: a mistake that the user can fix.
    """
    local = use_words(words, build_parser()).local
    machine = Machine(request.device, request.dtype, request.attention, remote=not local)
    with from_cache_alone() if request.plan else nullcontext():
        check_options(inputs.entrants, request.model_options(), machine)
    return Prepared(request, tuple(words), machine, inputs)
