"""The files that a job is given: found and checked before what scores them is imported, which takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.rerank.own_files import converted
from pipelines.rerank.request import RerankRequest
from pipelines.rerank.run_file import check_ids, check_run_file
from transforms.base import files
from transforms.base.errors import UserError
from transforms.input.inputs import InputFile, inspect
from transforms.input.named import input_files
from transforms.input.plan import load_plan, plan
from transforms.job import directory, record
from transforms.layout import RERANKING


@dataclass(frozen=True)
class RerankInputs:
    """What a job finds.

    Attributes:
        output: the job's directory, absolute.
        files: the input files.
        previous: the job that is continued; None for a new one.
    """

    output: str
    files: tuple[InputFile, ...]
    previous: record.Job | None


def find_inputs(request: RerankRequest, folder: str) -> RerankInputs:
    """Check the job's files; what is not Parquet is converted, no more is written.

    Args:
        request: what is asked for.
        folder: for converted input.

    Raises:
        UserError: a mistake that the user can fix.
    """
    output = files.absolute(request.output)
    named = input_files(request.input, output)
    directory.check_inputs(output, named)
    if request.run_file is not None:
        check_run_file(request.run_file, named, output)
    previous = record.previous_job(output, RERANKING, request.overwrite)
    known = {file.path for file in previous.inputs} if previous else set()
    inputs = inspect(converted(request, output, named, folder, known), request.keep_columns)
    if request.run_file is not None and not request.dry_run:
        check_ids(inputs)
    if request.extend and previous is not None:
        check_extension(output, previous, inputs)
    return RerankInputs(output, tuple(inputs), previous)


def check_extension(output: str, previous: record.Job, inputs: Sequence[InputFile]) -> None:
    """Make sure that new files of flat input have new queries alone, whose rows stand together: what was done of the
    others would else be of a part of their pairs.

    Raises:
        UserError: they do not, or the job's input was regrouped.
    """
    known = {file.path for file in previous.inputs}
    added = [file for file in inputs if file.path not in known]
    if not added or all(file.layout == "nested" for file in inputs) or not known <= {file.path for file in inputs}:
        return
    before = record.in_job_order(previous, inputs)
    made = load_plan(output, before) or plan(before)
    if not made.contiguous:
        raise UserError("--extend: rows of the job's own queries do not stand together; give another --output")
    extended = plan([*before, *(replace(file, index=len(before) + place) for place, file in enumerate(added))])
    if extended.scattered is not None:
        path, query_id = extended.scattered
        raise UserError(
            f"--extend: {path} has query {query_id!r}, of which other rows came before; give files of new queries, "
            "each query's rows together, or another --output"
        )
