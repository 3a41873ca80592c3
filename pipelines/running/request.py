"""What the jobs' requests have in common; each field is the option of its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from transforms.base.request import Request, refusals
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

    def complaints(self) -> Iterator[str]:
        """An address that is none, or that has a secret in it."""
        return address_refusals(self.model)


def address_refusals(model: str) -> Iterator[str]:
    """What is wrong with a model's name where it is an address; of others it is known when they are looked for."""
    if is_address(model):
        from transforms.scoring.hosted.key import check_address  # takes a while

        yield from refusals(lambda: check_address(model))


@dataclass(frozen=True, kw_only=True)
class JobRequest(RunRequest, ABC):
    """A job of one pipeline, whose workers may be on other machines."""

    output: str
    model_like: str | None = None
    revision: str | None = None
    overwrite: bool = False

    def complaints_elsewhere(self) -> Iterator[str]:
        """What of it works only where this process and the workers share a disk, a part of a line each."""
        return iter(())

    @abstractmethod
    def scorer(self) -> str | None:
        """The model that workers load, or the address that they ask; None where they need none."""

    @abstractmethod
    def paths(self) -> Iterator[tuple[str, str]]:
        """The options that name what workers read or write, and each path."""
