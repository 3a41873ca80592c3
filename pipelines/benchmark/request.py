"""What a benchmark is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from eval.published.scores import DEPTH
from pipelines.benchmark.data_sets import data_sets
from pipelines.running.request import BeamRequest, ScoringRequest, elsewhere_refusals
from transforms.base.patterns import local
from transforms.base.request import Check, refusals


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
        """Data sets that there are not, and copies of them on another machine."""
        return (
            lambda: elsewhere_refusals("data_dir", self.data_dir),
            lambda: refusals(*(partial(data_sets, text) for text in local(self.datasets))),
        )

    def paths(self) -> Iterator[tuple[str, str]]:
        """The options that name what is read or written, and each path; names of data sets count as paths of here."""
        for text in self.datasets:
            name, equals, value = text.partition("=")
            yield from (("--datasets", place) for place in (value.rsplit(",", 1) if equals else [name]))
        kind, _, run = (self.retriever or "").partition(":")
        if kind == "run":
            yield "--retriever", run
        yield "--output", self.output
