"""The model of a job, as its options name it and as it ran where the job is continued."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.running.options import RUN_OPTIONS, is_given
from pipelines.running.request import JobRequest, ModelRequest
from transforms.base.errors import UserError
from transforms.job.record import Job
from transforms.scoring.choices import is_address
from transforms.scoring.reranker import specify
from transforms.scoring.scorer import ScorerSpecification


def specify_for_job(
    name: str, request: JobRequest, own: Iterable[str], begun: Job | None, elsewhere: bool
) -> ScorerSpecification:
    """The model, run as the request says; what it leaves open is as in the job that is continued, if there is one.

    Args:
        name: as `reranker.specify` takes it.
        request: of the job.
        own: names of those of its fields that are the model's own settings.
        begun: the job that is continued; None for a new one.
        elsewhere: it will run on other machines.

    Raises:
        UserError: the model is unavailable, or cannot run so.
    """
    before = dict(begun.execution) if begun and not is_address(name) else {}  # which an API has none of
    try:
        return specify(
            name,
            revision=request.revision,
            like=request.model_like,
            options={option: getattr(request, option) for option in own},
            elsewhere=elsewhere,
            # Jobs begun since the first version fill up heads, and so said from a later one on.
            fills_heads=before.get("fills_heads", begun is None or begun.part_version > 1),
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
        **{name: getattr(request, name) for name in RUN_OPTIONS},
    )


def _settled(request: JobRequest, begun: Mapping[str, Any]) -> dict[str, Any]:
    """RUN_OPTIONS as given; what is left open is as in the execution of the job that is continued, if there is one."""
    return {
        name: getattr(request, name) if is_given(request, name) else begun.get(name, keywords["default"])
        for name, keywords in RUN_OPTIONS.items()
    }


def _not_here(error: UserError, request: JobRequest, begun: Mapping[str, Any]) -> UserError:
    """The error, or a clearer one where it is about a choice that was made when the job was begun."""
    for name in RUN_OPTIONS:
        if name in begun and not is_given(request, name) and str(error).startswith(f"--{name} {begun[name]}: "):
            return UserError(
                f"output begun with {name} {begun[name]}, which is not here: continue where it is, or give another "
                "--output"
            )
    return error
