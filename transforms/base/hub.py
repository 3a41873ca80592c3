"""Files of a repository on a Hugging Face hub, or from its cache on this machine."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from transforms.base.errors import UnavailableError, UserError, one_line

# Configuration, tokenizer and safetensors; never code, never another format of weights.
WANTED_FILES = ("*.json", "*.safetensors", "*.model", "*.txt")

# What went wrong, and how to fix it; the first that fits is reported.
_MEANINGS: tuple[tuple[type[Exception], str], ...] = (
    (GatedRepoError, "the hub asks you to accept its terms first; do so on its page there, then set HF_TOKEN"),
    (RepositoryNotFoundError, "neither a directory here nor on the hub, or private there; check it, or set HF_TOKEN"),
    (RevisionNotFoundError, "the hub has no such revision; check --revision"),
    (OfflineModeIsEnabled, "not all of it is in the local cache, and HF_HUB_OFFLINE forbids to fetch it; unset that"),
    (HFValidationError, "neither a directory here nor a hub id; give a directory or owner/name"),
)
_NOT_ALLOWED = {401, 403}


_from_cache_alone = ContextVar("from_cache_alone", default=False)


@contextmanager
def from_cache_alone() -> Iterator[None]:
    """Inside of it nothing is fetched: what is not in the cache is unavailable."""
    token = _from_cache_alone.set(True)
    try:
        yield
    finally:
        _from_cache_alone.reset(token)


def fetch(
    name: str,
    revision: str | None,
    wanted: Sequence[str] = WANTED_FILES,
    kind: Literal["model", "dataset"] = "model",
) -> tuple[Path, str]:
    """Download what is wanted of a repository, or take it from the cache; files that an earlier try got whole are kept.

    Args:
        name: owner/name.
        revision: a commit, tag or branch; None for the main branch.
        wanted: patterns of file names; in them, "*" stands for slashes too.
        kind: what the repository holds.

    Returns:
        The folder, and the commit that it holds.

    Raises:
        UserError: it is not there, or not allowed.
        UnavailableError: the hub does not answer as it should, or is not asked, and not all of it is in the cache.
    """
    with asking(f"{kind} {name}", revision):
        folder = snapshot_download(
            name,
            repo_type=kind,
            revision=revision,
            allow_patterns=list(wanted),
            local_files_only=_from_cache_alone.get(),
        )
    path = Path(folder)
    return path, path.name  # the cache keeps each commit in a folder of that name


def commit_of(name: str, revision: str | None) -> str:
    """The commit that a data set's revision (None: its main branch) is at.

    Raises:
        UserError: as of `fetch`.
    """
    with asking(f"dataset {name}", revision):
        return str(HfApi().dataset_info(name, revision=revision or "main").sha)


@contextmanager
def asking(what: str, revision: str | None = None) -> Iterator[None]:
    """While the body asks the hub about something.

    Raises:
        UserError: as of `fetch`.
    """
    try:
        with _errors_alone():
            yield
    except UserError:
        raise
    except Exception as error:  # the transport underneath has errors of its own, others in each version
        at = f" at revision {revision}" if revision else ""
        kind_of_error, meaning = _meaning(error)
        raise kind_of_error(f"{what}{at}: {meaning}") from error


@contextmanager
def _errors_alone() -> Iterator[None]:
    """Without the library's lines on each of its tries, whose outcome is reported in one line."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _meaning(error: BaseException) -> tuple[type[UserError], str]:
    """What an error of the hub's library means to the user, in one line."""
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # this one says "not in the cache", its cause why it was not fetched
    for kind, meaning in _MEANINGS:
        if isinstance(error, kind):
            return UserError, meaning
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in _NOT_ALLOWED:
            return UserError, f"the hub answered {status}; check that your HF_TOKEN is valid and may read it"
        return UnavailableError, f"the hub answered {status}; the same command later continues"
    return UnavailableError, f"cannot be fetched from the hub ({one_line(error)}); the same command later continues"
