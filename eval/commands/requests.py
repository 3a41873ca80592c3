"""What the commands are asked for; nothing here takes long to import."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eval.published.verification import Published, published_of
from eval.ranking.comparison import labels
from eval.ranking.files import output_refusals
from eval.ranking.measures import parse_measures
from eval.ranking.relevance import parse_recalls
from transforms.base.errors import UserError, one_line
from transforms.base.request import Check, Request, refusals
from transforms.input.candidate_order import check_order
from transforms.scoring.catalogue import entry
from transforms.scoring.choices import check_device

# The orders for which the vendor of jina-reranker-v3 reports nDCG@10 on BEIR.
DEFAULT_ORDERS = ("best_first", "worst_first", "random:1")
OWN_OPTIONS = ("--input", "--model", "--output", "--candidate_order")  # of a job that `order` runs


@dataclass(frozen=True, kw_only=True)
class RelevanceRequest(Request):
    """What to measure by."""

    qrels: str | None
    answers: str | None
    candidates: tuple[str, ...] | None
    measures: tuple[str, ...] | None
    only_run_queries: bool
    exclude_identical_ids: bool
    per_query: Path | None
    json: Path | None

    def outputs(self) -> Mapping[str, Path | None]:
        """Option -> the file that is to be written, None where there is none."""
        return {"--per_query": self.per_query, "--json": self.json}

    def checks(self) -> Iterable[Check]:
        """Candidates that nothing is searched in, unknown measures, and what cannot be written."""
        return self._relevance_complaints, lambda: output_refusals(self.outputs())

    def _relevance_complaints(self) -> Iterator[str]:
        if self.candidates and not self.answers:
            yield "--candidates: is of use with --answers alone; leave it out"
        yield from refusals(partial(parse_recalls if self.answers else parse_measures, self.measures or ()))


@dataclass(frozen=True, kw_only=True)
class MeasureRequest(RelevanceRequest):
    """What to measure, and by what."""

    input: str


@dataclass(frozen=True, kw_only=True)
class CompareRequest(RelevanceRequest):
    """What to compare, and by what."""

    inputs: tuple[str, ...]
    show: int
    texts: bool
    html: Path | None

    def outputs(self) -> Mapping[str, Path | None]:
        """The page too."""
        return {**super().outputs(), "--html": self.html}

    def checks(self) -> Iterable[Check]:
        """Also inputs of which there are too few, one appears twice, or one has a name that is taken."""
        return *super().checks(), self._input_complaints

    def _input_complaints(self) -> Iterator[str]:
        names = labels(self.inputs)
        if len({os.path.normpath(location) for location in self.inputs}) < max(2, len(names)):
            yield f"{' '.join(self.inputs)}: give a baseline and others to compare with it, each once"
        if self.per_query and (taken := {"query_id", "measure"}.intersection(names)):
            yield f"--per_query has a column {taken.pop()} beside those of the runs; rename the run"


@dataclass(frozen=True, kw_only=True)
class OrderRequest(Request):
    """What to compare, and the jobs to run before."""

    outputs: tuple[str, ...]
    qrels: str
    input: tuple[str, ...] | None
    model: str | None
    output: str | None
    orders: tuple[str, ...] | None
    job_options: str
    json: Path | None

    def checks(self) -> Iterable[Check]:
        """Jobs to run that are not described whole, or are one, or none and nothing to compare; a report that cannot be
        written."""
        return self._job_complaints, lambda: output_refusals({"--json": self.json})

    def _job_complaints(self) -> Iterator[str]:
        if self.input:
            if self.outputs or not (self.model and self.output):
                yield "--input runs the jobs first: give --model and --output with it, and no other outputs"
            orders = self.orders or DEFAULT_ORDERS
            yield from refusals(*(partial(check_order, order) for order in orders))
            if len(set(orders)) < max(2, len(orders)):
                yield f"--orders {' '.join(orders)}: give two or more different ones"
        elif self.model or self.output or self.orders or self.job_options:
            yield "--model, --output, --orders and --job_options are for jobs to run: give --input with them"
        elif len(self.outputs) < 2:
            yield "nothing to compare: give two or more output directories, or --input to run the jobs first"
        yield from refusals(self.job_words)

    def job_words(self) -> list[str]:
        """The words of --job_options.

        Raises:
            UserError: they are none, or say what this command says itself.
        """
        try:
            words = shlex.split(self.job_options)
        except ValueError as problem:
            raise UserError(f"--job_options {self.job_options}: {one_line(problem)}; fix the quotation marks") from None
        if own := [word for word in words if word.partition("=")[0] in OWN_OPTIONS]:
            raise UserError(f"--job_options: {own[0]} is given by this command; leave it out")
        return words


@dataclass(frozen=True, kw_only=True)
class VerifyOutputRequest(Request):
    """A job's output to read from end to end."""

    output: str


@dataclass(frozen=True, kw_only=True)
class VerifyRequest(Request):
    """A model to check against its vendor's scores, and how it runs."""

    model: str
    model_like: str | None
    revision: str | None
    device: str
    dtype: str

    def checks(self) -> Iterable[Check]:
        """An unknown device, a name that can be no model's, or a model of which nothing is published."""
        return (
            lambda: refusals(lambda: check_device(self.device)),
            self._directory_complaints,
            lambda: refusals(self._check_published),
        )

    def _directory_complaints(self) -> Iterator[str]:
        from transforms.scoring import early  # takes a while

        return refusals(lambda: early.check_directory(self.model, self.revision))

    def published(self, model: str) -> list[Published]:
        """What is published of an entry of the catalogue, the one that this asks for.

        Raises:
            UserError: nothing.
        """
        return published_of(model, "--model" if self.model_like is None else "--model_like")

    def _check_published(self) -> None:
        name = self.model if hasattr(self, "model") else ""
        if (known := entry(name, self.model_like)) is not None:
            self.published(known.name)
