"""From the files of a corpus to committed candidate lists, as a Beam transform.

    corpus files | Retrieve(settings, retriever)

Between the steps travel names of files alone. Each step commits its files whole and skips those that are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import apache_beam as beam
from apache_beam.pvalue import AsList, PBegin, PCollection
from apache_beam.utils.shared import Shared

from transforms.base import files
from transforms.job.progress import progress_writer, stop_requested
from transforms.retrieval import bm25, corpus, hits, join, step_files
from transforms.retrieval.dense import Searcher, search_shard
from transforms.retrieval.source import SourceFile
from transforms.retrieval.trec_run import write_hits
from transforms.scoring.reranker import Specification

# Of a file of hits, where one file has all documents of some queries.
_QUERIES = 1000


@dataclass(frozen=True)
class StepSettings:
    """What all steps know.

    Attributes:
        output: the job's directory.
        depth: candidates of a query, at most.
        exclude_identical_ids: whether a document that has the query's own id is excluded from its candidates.
        shard_documents: documents of a shard of the corpus, at most.
        progress_folder: see `transforms.job.progress`; None where workers are elsewhere.
    """

    output: str
    depth: int
    exclude_identical_ids: bool
    shard_documents: int
    progress_folder: str | None = None

    @property
    def hits(self) -> int:
        """Hits that a first stage has to give so that enough remain."""
        return self.depth + self.exclude_identical_ids

    def stopped(self) -> bool:
        return stop_requested(self.progress_folder)


class ShardCorpus(beam.DoFn):
    """A file of the corpus, with its place among them, to the names of its shards."""

    def __init__(self, settings: StepSettings) -> None:
        self._settings = settings

    def process(self, source: tuple[int, SourceFile]) -> Iterator[str]:
        index, file = source
        for name in corpus.write_shards(file, index, self._settings.output, self._settings.shard_documents):
            yield name
            if self._settings.stopped():
                return


@dataclass(frozen=True)
class TrecRun:
    """A TREC run as the first stage."""

    path: str

    def expand(self, begin: PBegin, shards: PCollection[str], settings: StepSettings) -> PCollection[str]:
        """The names of the committed files of hits."""
        hit_files: PCollection[str] = begin | "Run" >> beam.Create([self.path]) | beam.ParDo(_ReadRun(settings))
        return hit_files


class _ReadRun(beam.DoFn):
    def __init__(self, settings: StepSettings) -> None:
        self._settings = settings

    def process(self, path: str) -> Iterator[str]:
        target = step_files.hits_path(self._settings.output, "run")
        if not files.exists(target):
            write_hits(path, target)
        yield "run"


@dataclass(frozen=True)
class Bm25:
    """BM25 as the first stage, over a corpus in a language. One worker holds the index."""

    language: str

    def expand(self, begin: PBegin, shards: PCollection[str], settings: StepSettings) -> PCollection[str]:
        """The names of the committed files of hits."""
        hit_files: PCollection[str] = (
            begin | "Bm25" >> beam.Create([self.language]) | beam.ParDo(_SearchIndex(settings), AsList(shards))
        )
        return hit_files


class _SearchIndex(beam.DoFn):
    def __init__(self, settings: StepSettings) -> None:
        self._settings = settings

    def process(self, language: str, shards: Sequence[str]) -> Iterator[str]:
        settings = self._settings
        if settings.stopped():
            return
        queries = step_files.read(step_files.queries_path(settings.output))
        slices = {f"queries-{first:09d}": first for first in range(0, len(queries), _QUERIES)}
        missing = {
            name: first
            for name, first in slices.items()
            if not files.exists(step_files.hits_path(settings.output, name))
        }
        index = bm25.index(settings.output, shards, language) if missing else None
        for name, first in slices.items():
            if index is not None and name in missing:
                rows = queries.slice(first, _QUERIES).to_pylist()
                results = ((row["query_id"], *index.search(row["query"], settings.hits)) for row in rows)
                step_files.write(step_files.hits_path(settings.output, name), hits.table(results, index.doc_ids))
            yield name
            if settings.stopped():
                return


@dataclass(frozen=True)
class Dense:
    """A sentence encoder as the first stage; any number of workers share the corpus' shards.

    Attributes:
        specification: the encoder.
        embeddings: a directory for the embeddings of this corpus by this encoder; None to keep none.
        resource_hints: of Beam, by name, for the workers that embed.
    """

    specification: Specification
    embeddings: str | None = None
    resource_hints: Mapping[str, str] = field(default_factory=dict)

    def expand(self, begin: PBegin, shards: PCollection[str], settings: StepSettings) -> PCollection[str]:
        """The names of the committed files of hits."""
        embed = beam.ParDo(_SearchShard(settings, self)).with_resource_hints(**self.resource_hints)
        hit_files: PCollection[str] = shards | "Embed" >> embed
        return hit_files


class _SearchShard(beam.DoFn):
    def __init__(self, settings: StepSettings, stage: Dense) -> None:
        self._settings = settings
        self._stage = stage
        self._shared = Shared()  # by all threads of a worker process
        self._searcher: Searcher | None = None  # loaded for the first shard whose hits are not there yet

    def process(self, name: str) -> Iterator[str]:
        if self._settings.stopped():
            return
        if not files.exists(step_files.hits_path(self._settings.output, name)):
            if self._searcher is None:
                self._searcher = self._shared.acquire(self._load)
            settings = self._settings
            search_shard(self._searcher, settings.output, name, settings.hits, self._stage.embeddings)
        documents = step_files.record(step_files.corpus_path(self._settings.output, name))["documents"]
        progress_writer(self._settings.progress_folder).add(documents, 0)
        yield name

    def _load(self) -> Searcher:
        return Searcher(self._stage.specification, step_files.read(step_files.queries_path(self._settings.output)))


class _Join(beam.DoFn):
    def __init__(self, settings: StepSettings) -> None:
        self._settings = settings

    def process(self, _: None, shards: Sequence[str], hit_files: Sequence[str]) -> Iterator[int]:
        settings = self._settings
        if settings.stopped():
            return
        for part in join.write_parts(
            settings.output,
            shards,
            hit_files,
            depth=settings.depth,
            exclude_identical_ids=settings.exclude_identical_ids,
        ):
            yield part
            if settings.stopped():
                return


class Retrieve(beam.PTransform):  # type: ignore[type-arg]  # its parameters are not element types in Beam's own hints
    """Files of a corpus, each with its place among them, to committed part files, whose numbers are emitted."""

    def __init__(self, settings: StepSettings, retriever: TrecRun | Bm25 | Dense) -> None:
        super().__init__()
        self._settings = settings
        self._retriever = retriever

    def expand(self, sources: PCollection[tuple[int, SourceFile]]) -> PCollection[int]:
        settings, begin = self._settings, PBegin(sources.pipeline)
        shards: PCollection[str] = (
            sources
            | "ShardCorpus" >> beam.ParDo(ShardCorpus(settings))
            | "Spread" >> beam.Reshuffle()  # names alone, so that the shards of one file go to many workers
        )
        hit_files = self._retriever.expand(begin, shards, settings)
        parts: PCollection[int] = (
            begin
            | "Once" >> beam.Create([None])
            | "Join" >> beam.ParDo(_Join(settings), AsList(shards), AsList(hit_files))
        )
        return parts
