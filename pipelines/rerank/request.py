"""What a reranking job is asked for, by a command line or from Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.running.request import JobRequest, ModelRequest, ScoringRequest, address_refusals
from transforms.base.request import Check, present, refusals
from transforms.input.candidate_order import check_order
from transforms.input.data_sets import parse_data_set
from transforms.input.names import ACCEPTED, parse_columns
from transforms.input.template import parse_template
from transforms.schema import BEST_WINDOW, Reason
from transforms.scoring.choices import is_address

ASKING_COSTS = "--dry_run: asking the endpoint would cost; give a model that runs here"


@dataclass(frozen=True, kw_only=True)
class RerankRequest(ScoringRequest, ModelRequest, JobRequest):
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
        """What decides a part file's bytes besides the model and how it runs; --columns where it is given."""
        named = {"columns": self.columns} if self.columns else {}
        return {
            "keep_columns": self.keep_columns,
            "text_template": self.text_template,
            "candidate_order": self.candidate_order,
            "top_k": self.top_k,
            "shard_pairs": self.shard_pairs,
        } | named

    def checks(self) -> Iterable[Check]:
        """What of it cannot be or does not go together."""
        by_gpu = (lambda: address_refusals(self.model), self._complaints_by_gpu)
        by_input = (lambda: self.model_complaints(self.candidate_order), self._cost_complaints, self._input_complaints)
        plan = by_gpu if self.dry_run and self.gpu is not None else by_input
        return self._value_complaints, *plan, self._complaints_together

    def _value_complaints(self) -> Iterator[str]:
        return refusals(
            lambda: self.text_template is None or parse_template(self.text_template),
            lambda: parse_columns(self.columns, ACCEPTED),
            lambda: self.dataset is None or parse_data_set(self.dataset),
            lambda: check_order(self.candidate_order),
        )

    def _cost_complaints(self) -> Iterator[str]:
        if self.dry_run and is_address(self.model):
            yield ASKING_COSTS

    def _input_complaints(self) -> Iterator[str]:
        if not self.output:
            yield "--output: it is empty or not given; give the job's own directory"
        if bool(self.input) == bool(self.dataset):
            yield "give either --input or --dataset"
        yield from (f"--{name}: it is for --gpu alone; leave it out" for name in present(self._card_fields()))

    def _card_fields(self) -> dict[str, object]:
        """What a plan by GPU is made of, and the sample of an input is not."""
        return {"pairs": self.pairs, "tokens_per_pair": self.tokens_per_pair}

    def _complaints_together(self) -> Iterator[str]:
        if self.window_score and (taken := [name for name in self.keep_columns if name in BEST_WINDOW.names]):
            yield f"--keep_columns {taken[0]}: --window_score gives the output such a column; leave it out"
        if self.dataset and self.corpus:
            yield "--corpus and --queries apply to --input; leave them out"
        if bool(self.corpus) != bool(self.queries):
            yield "--corpus and --queries go together: they add the texts to a TREC run"
        planned = {"workers": self.workers, "throughput": self.throughput, "gpu": self.gpu} | self._card_fields()
        if not self.dry_run:
            yield from (f"--{name}: it is for --dry_run alone; leave it out" for name in present(planned))

    def _complaints_by_gpu(self) -> Iterator[str]:
        needed = self._card_fields()
        yield from (f"--gpu: give --{name} too" for name, value in needed.items() if value is None)
        if needless := present({"input": self.input, "dataset": self.dataset, "throughput": self.throughput}):
            yield f"--gpu plans without {', '.join(f'--{name}' for name in needless)}; leave them out"

    def scorer(self) -> str:
        """The model, or the address of an API."""
        return self.model

    def paths(self) -> Iterator[tuple[str, str]]:
        """What is read, and --output."""
        for name, paths in {"input": self.input, "corpus": self.corpus, "queries": self.queries}.items():
            yield from ((f"--{name}", path) for path in paths)
        yield "--output", self.output

    def paths_here(self) -> Iterator[tuple[str, str]]:
        """The run, which this process writes."""
        if self.run_file is not None:
            yield "--run_file", self.run_file
