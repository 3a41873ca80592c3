"""What a reranking job is asked for, by a command line or from Python."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.running.request import JobRequest, ScoringRequest, address_refusals, model_refusals
from transforms.base.request import refusals
from transforms.input.candidate_order import check_order
from transforms.input.data_sets import parse_data_set
from transforms.input.names import ACCEPTED, parse_columns
from transforms.input.template import parse_template
from transforms.schema import BEST_WINDOW, Reason
from transforms.scoring.choices import is_address

# What a dry run plans for, and the job itself does not know.
PLAN_FIELDS = ("workers", "throughput", "gpu", "pairs", "tokens_per_pair")
# What a plan by GPU is made of, and the sample of an input is not.
CARD_FIELDS = ("pairs", "tokens_per_pair")
ASKING_COSTS = "--dry_run: asking the endpoint would cost; give a model that runs here"
# What decides a part file's bytes, besides the model and how it runs.
OUTPUT_FIELDS = ("keep_columns", "text_template", "candidate_order", "top_k", "shard_pairs")


@dataclass(frozen=True, kw_only=True)
class RerankRequest(ScoringRequest, JobRequest):
    """A reranking job; each field is the option of its name, see docs/options.md for what it means and takes.

    Example:
        >>> from pipelines.rerank import RerankRequest
        >>> RerankRequest(input=("cands/*.parquet",), output="out", model="small-cross-encoder").top_k is None
        True
    """

    output: str = ""
    input: tuple[str, ...] = ()
    dataset: str | None = None
    corpus: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    keep_columns: tuple[str, ...] = ()
    text_template: str | None = None
    top_k: int | None = None
    run_file: str | None = None
    model: str
    candidate_order: str = "best_first"
    extend: bool = False
    retry_rejected: Reason | None = None
    dry_run: bool = False
    workers: int | None = None
    throughput: float | None = None
    gpu: str | None = None
    pairs: float | None = None
    tokens_per_pair: float | None = None
    price_per_hour: float | None = None

    def output_options(self) -> dict[str, Any]:
        """Of the fields that decide a part file's bytes, what job.json records; --columns where it is given."""
        named = {"columns": self.columns} if self.columns else {}
        return {name: getattr(self, name) for name in OUTPUT_FIELDS} | named

    def complaints(self) -> Iterator[str]:
        """What of it cannot be or does not go together, a part of a line each."""
        yield from refusals(
            lambda: self.text_template is None or parse_template(self.text_template),
            lambda: parse_columns(self.columns, ACCEPTED),
            lambda: self.dataset is None or parse_data_set(self.dataset),
        )
        no_order = [*refusals(lambda: check_order(self.candidate_order))]
        yield from no_order
        if self.dry_run and self.gpu is not None:
            yield from address_refusals(self.model)
            yield from self._complaints_by_gpu()
        else:
            order = "best_first" if no_order else self.candidate_order
            yield from model_refusals(self, self.model, self.model_like, self.revision, order)
            if self.dry_run and is_address(self.model):
                yield ASKING_COSTS
            if not self.output:
                yield "--output: it is empty or not given; give the job's own directory"
            if bool(self.input) == bool(self.dataset):
                yield "give either --input or --dataset"
            yield from (f"--{name}: it is for --gpu alone; leave it out" for name in CARD_FIELDS if getattr(self, name))
        if self.window_score and (taken := [name for name in self.keep_columns if name in BEST_WINDOW.names]):
            yield f"--keep_columns {taken[0]}: --window_score gives the output such a column; leave it out"
        if self.dataset and self.corpus:
            yield "--corpus and --queries apply to --input; leave them out"
        if bool(self.corpus) != bool(self.queries):
            yield "--corpus and --queries go together: they add the texts to a TREC run"
        for name in PLAN_FIELDS:
            if getattr(self, name) is not None and not self.dry_run:
                yield f"--{name}: it is for --dry_run alone; leave it out"

    def _complaints_by_gpu(self) -> Iterator[str]:
        yield from (f"--gpu: give --{name} too" for name in CARD_FIELDS if getattr(self, name) is None)
        if needless := [f"--{name}" for name in ("input", "dataset", "throughput") if getattr(self, name)]:
            yield f"--gpu plans without {', '.join(needless)}; leave them out"

    def scorer(self) -> str:
        """The model, or the address of an API."""
        return self.model

    def paths(self) -> Iterator[tuple[str, str]]:
        """What is read, and --output."""
        for name in ("input", "corpus", "queries"):
            yield from ((f"--{name}", path) for path in getattr(self, name))
        yield "--output", self.output

    def paths_here(self) -> Iterator[tuple[str, str]]:
        """The run, which this process writes."""
        if self.run_file is not None:
            yield "--run_file", self.run_file
