"""What a benchmark is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from eval.published.scores import DEPTH
from pipelines.benchmark.data_sets import BenchmarkDataSet, data_sets
from pipelines.benchmark.entrants import Entrant, check_apply, entrant
from pipelines.running.request import BeamRequest, ScoringRequest, remote_refusals
from transforms.base.errors import UserError
from transforms.base.patterns import local
from transforms.base.request import Check, refusals
from transforms.scoring import catalogue
from transforms.scoring.choices import check_device

Named = TypeVar("Named", Entrant, BenchmarkDataSet)


@dataclass(frozen=True, kw_only=True)
class BenchmarkRequest(ScoringRequest, BeamRequest):
    """A benchmark; each field is the option of its name, see docs/options.md for what it means and takes."""

    models: tuple[str, ...]
    datasets: tuple[str, ...]
    output: str
    retriever: str | None = None
    depth: int = DEPTH
    data_dir: str | None = None
    plan: bool = False
    throughput: float | None = None
    price_per_hour: float | None = None

    def checks(self) -> Iterable[Check]:
        """Models that appear twice, options that none of them has, unknown data sets, and copies of these on another
        machine."""
        return (
            lambda: refusals(self.entrants),
            lambda: refusals(self._check_options),
            lambda: refusals(lambda: check_device(self.device)),
            lambda: remote_refusals("data_dir", self.data_dir),
            lambda: refusals(*(partial(data_sets, text) for text in local(self.datasets))),
        )

    def entrants(self) -> list[Entrant]:
        """The models.

        Raises:
            UserError: two have one name.
        """
        return distinct("--models", [entrant(text) for text in self.models])

    def _check_options(self) -> None:
        known = [catalogue.entry(model.where, model.like) for model in map(entrant, self.models)]
        if None not in known:  # of others their files say what they are
            check_apply(filter(None, known), self.model_options())

    def paths(self) -> Iterator[tuple[str, str]]:
        """The options that name what is read or written, and each path; names of data sets count as paths of here."""
        for text in self.datasets:
            name, equals, value = text.partition("=")
            yield from (("--datasets", place) for place in (value.rsplit(",", 1) if equals else [name]))
        kind, _, run = (self.retriever or "").partition(":")
        if kind == "run":
            yield "--retriever", run
        yield "--output", self.output


def distinct(option: str, named: list[Named]) -> list[Named]:
    """The same, after a check that no two have one name.

    Raises:
        UserError: two have.
    """
    names = [each.name for each in named]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{option}: {name} appears twice; leave one out, or name it otherwise with NAME=...")
    return named
