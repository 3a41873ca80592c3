"""The model of a job, as its options name it and as it ran where the job is continued."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.running.options import RUN_OPTIONS, is_given
from pipelines.running.request import RunRequest
from transforms.base.errors import UserError
from transforms.job import record as job
from transforms.scoring.hosted.endpoint import is_address
from transforms.scoring.reranker import specify
from transforms.scoring.scorer import ScorerSpecification


def specify_for_job(
    name: str, options: Any, own: Iterable[str], begun: job.Job | None, elsewhere: bool
) -> ScorerSpecification:
    """The model, run as the options say; what they leave open is as in the job that is continued, if there is one.

    Args:
        name: as `reranker.specify` takes it.
        options: the command's request.
        own: names of those among them that are the model's own settings.
        begun: the job that is continued; None for a new one.
        elsewhere: it will run on other machines.

    Raises:
        UserError: the model is unavailable, or cannot run so.
    """
    before = dict(begun.execution) if begun and not is_address(name) else {}  # which an API has none of
    try:
        return specify(
            name,
            revision=options.revision,
            like=options.model_like,
            options={option: getattr(options, option) for option in own},
            elsewhere=elsewhere,
            **_settled(options, before),
        )
    except UserError as error:
        raise _not_here(error, options, before) from error


def _settled(options: RunRequest, begun: Mapping[str, Any]) -> dict[str, Any]:
    """RUN_OPTIONS as given; what is left open is as in the execution of the job that is continued, if there is one."""
    return {
        name: getattr(options, name) if is_given(options, name) else begun.get(name, keywords["default"])
        for name, keywords in RUN_OPTIONS.items()
    }


def _not_here(error: UserError, options: RunRequest, begun: Mapping[str, Any]) -> UserError:
    """The error, or a clearer one where it is about a choice that was made when the job was begun."""
    for name in RUN_OPTIONS:
        if name in begun and not is_given(options, name) and str(error).startswith(f"--{name} {begun[name]}: "):
            return UserError(
                f"output begun with {name} {begun[name]}, which is not here: continue where it is, or give another "
                "--output"
            )
    return error
