"""What the jobs' requests have in common; each field is the option of its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from transforms.base.files import is_local
from transforms.base.request import Check, Request, refusals, values_of
from transforms.schema import PART_PAIRS
from transforms.scoring.choices import is_address


@dataclass(frozen=True, kw_only=True)
class RunRequest(Request):
    """How a model's arithmetic runs, see `options.RUN_OPTIONS`."""

    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"
    batch_tokens: int | None = None
    threads: int | None = None

    def run_options(self) -> dict[str, Any]:
        """Those that the user has settled."""
        values = values_of(self, RunRequest)
        return {each.name: values[each.name] for each in fields(RunRequest) if values[each.name] != each.default}


@dataclass(frozen=True, kw_only=True)
class SettingsRequest(RunRequest):
    """Models' own settings, None where the model's default holds; see `options.MODEL_OPTIONS`."""

    max_length: int | None = None
    max_query_length: int | None = None
    max_doc_length: int | None = None
    long_documents: str | None = None
    window_score: str | None = None
    activation: str | None = None
    group_size: int | None = None
    special_tokens: str | None = None
    prompt: str | None = None
    task: str | None = None
    size: int | None = None
    instruction: str | None = None
    endpoint_model: str | None = None
    endpoint_api: str | None = None
    endpoint_batch: int | None = None
    endpoint_concurrency: int | None = None

    def model_options(self) -> dict[str, Any]:
        """All of the settings."""
        run = values_of(self, RunRequest)
        return {name: value for name, value in values_of(self, SettingsRequest).items() if name not in run}


@dataclass(frozen=True, kw_only=True)
class ScoringRequest(SettingsRequest):
    """Models' own settings, and how a job writes their scores."""

    shard_pairs: int = PART_PAIRS
    max_rejected: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ModelRequest(SettingsRequest):
    """One model that scores in this process, see `options.add_model_options`."""

    model: str
    model_like: str | None = None
    revision: str | None = None

    def checks(self) -> Iterable[Check]:
        """A name that can be no model's, and options that do not apply."""
        return (self.model_complaints,)

    def model_complaints(self, order: str = "best_first") -> Iterator[str]:
        """What is wrong with the model and its options, and an order of candidates that it may not read, as far as can
        be said at once; see `early.complaints`. An order that there is not is skipped: `check_order` reports it."""
        from transforms.input.candidate_order import ORDER
        from transforms.scoring import early  # takes a while

        return early.complaints(
            self.model if hasattr(self, "model") else None,
            revision=self.revision,
            like=self.model_like,
            run=self.run_options(),
            options=self.model_options(),
            order=order if ORDER.fullmatch(order) else "best_first",
        )


def remote_refusals(option: str, path: str | None) -> Iterator[str]:
    """What is wrong with a directory that can be on this machine alone."""
    if path is not None and not is_local(path):
        yield f"--{option} {path}: is not on this machine; give a directory of this one"


def address_refusals(model: str) -> Iterator[str]:
    """What is wrong with a model's name where it is an address."""
    if is_address(model):
        from transforms.scoring.hosted.key import check_address  # takes a while

        yield from refusals(lambda: check_address(model))


@dataclass(frozen=True, kw_only=True)
class BeamRequest(Request, ABC):
    """What Beam runs."""

    @abstractmethod
    def paths(self) -> Iterator[tuple[str, str]]:
        """The options that name what workers read or write, and each path."""

    def paths_here(self) -> Iterator[tuple[str, str]]:
        """The same for what this process alone reads or writes."""
        return iter(())


@dataclass(frozen=True, kw_only=True)
class JobRequest(RunRequest, BeamRequest):
    """A job of one pipeline, whose workers may be on other machines."""

    output: str
    model_like: str | None = None
    revision: str | None = None
    overwrite: bool = False

    def remote_complaints(self) -> Iterator[str]:
        """What of it works only where this process and the workers share a disk, a part of a line each."""
        return iter(())

    @abstractmethod
    def scorer(self) -> str | None:
        """The model that workers load, or the address that they ask; None where they need none."""
