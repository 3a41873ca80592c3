"""What a benchmark is given: found and checked before what scores is imported, which takes seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.benchmark.candidates import CandidateFiles, ready
from pipelines.benchmark.data_sets import BenchmarkDataSet, data_sets
from pipelines.benchmark.entrants import Entrant
from pipelines.benchmark.request import BenchmarkRequest, distinct
from transforms.base import files
from transforms.base.errors import UserError
from transforms.job import record


@dataclass(frozen=True)
class BenchmarkInputs:
    """What is to be compared.

    Attributes:
        output: directory of the results, absolute.
        entrants: the models.
        data_sets: each, and its candidates where these are made.
    """

    output: str
    entrants: Sequence[Entrant]
    data_sets: Mapping[BenchmarkDataSet, CandidateFiles | None]


def find_inputs(request: BenchmarkRequest) -> BenchmarkInputs:
    """Find what is named; nothing is written.

    Raises:
        UserError: a mistake that the user can fix, such as a mistyped path, which shows before hours of work.
    """
    sets = distinct("--datasets", [data for text in request.datasets for data in data_sets(text)])
    output = files.absolute(request.output)
    if (job := record.read_job(output)) is not None:
        raise UserError(f"output {request.output} is a {job.kind} job's; give another --output")
    return BenchmarkInputs(output, request.entrants(), {data: ready(data, request, output) for data in sets})
