"""The model of a job, as its options name it and as it ran where the job is continued."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.running.request import JobRequest, ModelRequest, RunRequest
from transforms.base.errors import UserError
from transforms.base.request import values_of
from transforms.job.record import Job
from transforms.scoring.choices import is_address
from transforms.scoring.reranker import specify
from transforms.scoring.scorer import ScorerSpecification


def specify_for_job(
    name: str, request: JobRequest, options: Mapping[str, Any], previous: Job | None, remote: bool
) -> ScorerSpecification:
    """The model, run as the request says; what it leaves open is as in the job that is continued, if there is one.

    Args:
        name: as `reranker.specify` takes it.
        request: of the job.
        options: those of its fields that are the model's own settings.
        previous: the job that is continued; None for a new one.
        remote: it will run on other machines.

    Raises:
        UserError: the model is unavailable, or cannot run so.
    """
    before = dict(previous.execution) if previous and not is_address(name) else {}  # an API has no such settings
    try:
        return specify(
            name,
            revision=request.revision,
            like=request.model_like,
            options=options,
            remote=remote,
            # Jobs begun since the first version fill up heads, and so said from a later one on.
            fills_heads=before.get("fills_heads", previous is None or previous.part_version > 1),
            **_settled(request, before),
        )
    except UserError as error:
        raise _not_here(error, request, before) from error


def specify_here(request: ModelRequest) -> ScorerSpecification:
    """The model that a request names, to run on this machine.

    Raises:
        UserError: the model is unavailable, or cannot run so.
    """
    return specify(
        request.model,
        revision=request.revision,
        like=request.model_like,
        options=request.model_options(),
        **values_of(request, RunRequest),
    )


def _settled(request: JobRequest, previous: Mapping[str, Any]) -> dict[str, Any]:
    """How it runs as given; what is left open is as in the execution of the job that is continued, if there is one."""
    chosen = request.run_options()
    return {
        name: value if name in chosen else previous.get(name, value)
        for name, value in values_of(request, RunRequest).items()
    }


def _not_here(error: UserError, request: JobRequest, previous: Mapping[str, Any]) -> UserError:
    """The error, or a clearer one where it is about a choice that was made when the job was begun."""
    for name in values_of(request, RunRequest).keys() & previous.keys() - request.run_options().keys():
        if str(error).startswith(f"--{name} {previous[name]}: "):
            return UserError(
                f"output begun with {name} {previous[name]}, which is not here: continue where it is, or give another "
                "--output"
            )
    return error
