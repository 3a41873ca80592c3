"""What a job that makes candidates is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from eval.published.scores import DEPTH
from pipelines.running.request import JobRequest, remote_refusals
from transforms.base.request import Check, present, refusals
from transforms.input.names import OF_FILES, parse_columns
from transforms.retrieval.datasets import named


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

    def dense_options(self) -> dict[str, Any]:
        """How the model of a dense first stage reads a text."""
        return {"max_length": self.max_length, "task": self.task, "size": self.size}

    def checks(self) -> Iterable[Check]:
        """What of it cannot be or does not go together."""
        return self._data_complaints, self._stage_complaints

    def _data_complaints(self) -> Iterator[str]:
        own = present({"queries": self.queries, "corpus": self.corpus})
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
        yield from remote_refusals("data_dir", self.data_dir)

    def _stage_complaints(self) -> Iterator[str]:
        kind, name = self.retriever
        own = {"revision": self.revision, "model_like": self.model_like, "embeddings": self.embeddings}
        unused = [*present(own | self.dense_options()), *self.run_options()]
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
        wrong = early.complaints(
            name, revision=self.revision, like=self.model_like, run=self.run_options(), options=self.dense_options()
        )
        yield from (complaint for complaint in wrong if complaint not in no_encoder)

    def remote_complaints(self) -> Iterator[str]:
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
        for name, paths in {"corpus": self.corpus, "queries": self.queries, "qrels": self.qrels}.items():
            yield from ((f"--{name}", path) for path in paths)
        if self.embeddings:
            yield "--embeddings", self.embeddings
        yield "--output", self.output
        kind, run = self.retriever
        if kind == "run":
            yield "--retriever", run
