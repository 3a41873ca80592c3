"""What a benchmark is given: found and checked before what scores is imported, which takes seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.benchmark.candidates import CandidateFiles, ready
from pipelines.benchmark.data_sets import BenchmarkDataSet, data_sets
from pipelines.benchmark.entrants import Entrant, check_apply, entrant
from pipelines.benchmark.request import BenchmarkRequest
from transforms.base import files
from transforms.base.errors import UserError
from transforms.job import record
from transforms.scoring import catalogue


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
    entrants = distinct("--models", [entrant(text) for text in request.models])
    known = [catalogue.entry(model.where, model.like) for model in entrants]
    if None not in known:  # of others their files say what they are
        check_apply(filter(None, known), request.model_options())
    sets = distinct("--datasets", [data for text in request.datasets for data in data_sets(text)])
    output = files.absolute(request.output)
    if (job := record.read_job(output)) is not None:
        raise UserError(f"output {request.output} is a {job.kind} job's; give another --output")
    return BenchmarkInputs(output, entrants, {data: ready(data, request, output) for data in sets})


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
