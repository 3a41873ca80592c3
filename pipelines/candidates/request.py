"""What a job that makes candidates is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eval.published.scores import DEPTH
from pipelines.running.options import RUN_OPTIONS, is_given
from pipelines.running.request import JobRequest, elsewhere_refusals
from transforms.base.request import refusals
from transforms.input.names import OF_FILES, parse_columns
from transforms.retrieval.datasets import named

# Of a dense first stage: how its model reads a text.
DENSE_FIELDS = ("max_length", "task", "size")


@dataclass(frozen=True, kw_only=True)
class CandidatesRequest(JobRequest):
    """A candidates job; each field is the option of its name, see docs/options.md for what it means and takes."""

    dataset: str | None = None
    split: str | None = None
    data_dir: str | None = None
    queries: tuple[str, ...] = ()
    corpus: tuple[str, ...] = ()
    qrels: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    language: str | None = None
    retriever: tuple[str, str]
    depth: int = DEPTH
    exclude_identical_ids: bool | None = None
    embeddings: str | None = None
    max_length: int | None = None
    task: str | None = None
    size: int | None = None
    shard_documents: int = 16_384

    def complaints(self) -> Iterator[str]:
        """What of it cannot be or does not go together, a part of a line each."""
        own = [name for name in ("queries", "corpus") if getattr(self, name)]
        if bool(self.dataset) == bool(own or self.qrels):
            yield "give either --dataset or your own --queries and --corpus, with --qrels if there are any"
        elif not self.dataset and len(own) < 2:
            yield f"--{own[0] if own else 'qrels'} alone: give --queries and --corpus both"
        yield from refusals(lambda: parse_columns(self.columns, OF_FILES))
        if self.dataset and self.columns:
            yield "--columns applies to your own --queries and --corpus; leave it out"
        if not self.dataset and (self.split or self.data_dir):
            yield "--split and --data_dir apply to --dataset; leave them out"
        if self.dataset and not Path(self.dataset).is_dir():
            yield from refusals(partial(named, self.dataset))
        yield from elsewhere_refusals("data_dir", self.data_dir)
        kind, name = self.retriever
        unused = [name for name in ("revision", "model_like", "embeddings", *DENSE_FIELDS) if getattr(self, name)]
        unused += [name for name in RUN_OPTIONS if is_given(self, name)]
        if kind != "bm25" and self.language:
            yield "--language applies to bm25; leave it out"
        if kind != "dense" and unused:
            verb, them = ("applies", "it") if len(unused) == 1 else ("apply", "them")
            yield f"{', '.join(f'--{name}' for name in unused)} {verb} to a dense first stage; leave {them} out"
        if kind == "dense":
            yield from self._encoder_complaints(name)

    def _encoder_complaints(self, name: str) -> Iterator[str]:
        from transforms.scoring import early  # takes a while

        no_encoder = [*refusals(lambda: early.check_encoder(name, self.model_like))]
        yield from no_encoder
        options = {field: getattr(self, field) for field in DENSE_FIELDS}
        run, like = self.run_options(), self.model_like
        wrong = early.complaints(name, revision=self.revision, like=like, run=run, options=options)
        yield from (complaint for complaint in wrong if complaint not in no_encoder)

    def complaints_elsewhere(self) -> Iterator[str]:
        """Data sets by name come to this machine's disk."""
        if self.dataset:
            yield (
                "--dataset: its files come to this machine's disk, which workers do not see; give --corpus and "
                "--queries"
            )

    def scorer(self) -> str | None:
        """The model of a dense first stage."""
        kind, model = self.retriever
        return model if kind == "dense" else None

    def paths(self) -> Iterator[tuple[str, str]]:
        """Those of the output, the texts and their judgements, kept embeddings, and a first stage's run."""
        kind, run = self.retriever
        named = {
            "output": (self.output,),
            "corpus": self.corpus,
            "queries": self.queries,
            "qrels": self.qrels,
            "embeddings": (self.embeddings,) if self.embeddings else (),
            "retriever": (run,) if kind == "run" else (),
        }
        yield from ((f"--{name}", path) for name, paths in named.items() for path in paths)
