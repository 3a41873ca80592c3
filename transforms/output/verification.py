"""Whether the output of a finished job is whole: every part read from end to end, none missing, none too many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from transforms.base import files
from transforms.base.errors import UserError
from transforms.base.json_text import parse
from transforms.input.plan import planned_row_groups
from transforms.job.record import reranking_job
from transforms.layout import REJECTED_DIRECTORY, REPORT, SUCCESS, row_group_of
from transforms.output.parts import DamagedPartError, Part, complete_row_groups, part_names, read_part, unknown_parts


def problems(output: str, parts: dict[str, Part]) -> Iterator[str]:
    """What is wrong with a job's output, a line each.

    Args:
        output: the job's directory.
        parts: is filled with the parts that are whole.

    Raises:
        UserError: as of `reranking_job`.
    """
    job = reranking_job(output)
    rejected = set(files.list_names(files.join(output, REJECTED_DIRECTORY)))
    for name in part_names(output):
        try:
            parts[name] = read_part(output, name, job.fingerprint, rejected, end_to_end=True)
        except (DamagedPartError, UserError) as error:
            yield str(error)
    yield from gaps(output, parts)
    if not files.exists(files.join(output, SUCCESS)):
        yield f"{output}: no {SUCCESS}; its job has not finished"


def gaps(output: str, parts: Mapping[str, Part]) -> Iterator[str]:
    """Which parts of a job's output are missing or too many, a line each.

    Args:
        output: the job's directory.
        parts: those that are whole.
    """
    # What was regrouped has no list of its row groups; those that have parts are all that is known then.
    known = planned_row_groups(output) or {row_group_of(name) for name in parts}
    for name in unknown_parts(parts, known):
        yield f"{output}: part {name} is of no shard of this job; move it out"
    for file, row_group in sorted(known - complete_row_groups(parts)):
        yield f"{output}: parts of row group {row_group} of input file {file} are missing; give the job's command again"
    if files.exists(files.join(output, SUCCESS)) and (said := shards_said(output)) not in (None, len(parts)):
        yield f"{output}: {len(parts)} of the {said} parts that {REPORT} counts are whole"


def shards_said(output: str) -> int | None:
    """The number of shards in report.json; None where there is no such figure."""
    path = files.join(output, REPORT)
    try:
        said = parse(files.read_text(path)).get("shards") if files.exists(path) else None
    except (OSError, ValueError, AttributeError):
        return None
    return said if isinstance(said, int) else None
