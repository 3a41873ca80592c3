"""A sentence encoder as the first stage: exact search, one shard of the corpus at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.base import files
from transforms.input.template import render
from transforms.retrieval import hits, step_files
from transforms.scoring.reranker import Specification
from transforms.scoring.text_encoder import Encoder
from transforms.scoring.weights import checkpoints

_QUERIES_AT_ONCE = 256


class Searcher:
    """A loaded encoder with the embeddings of a job's queries."""

    def __init__(self, specification: Specification, queries: pa.Table) -> None:
        """Load the weights, fetched first on another machine than the one that specified them; embed all queries."""
        located = checkpoints.locate(specification.checkpoint.name, specification.checkpoint.revision)
        self._encoder = Encoder(replace(specification, checkpoint=located))
        self._query_ids = queries["query_id"].to_pylist()
        self._queries = self._encoder.embed(queries["query"].to_pylist(), "query")
        self.lost_queries = _lost(self._queries)  # which find nothing

    def embed(self, documents: pa.Table) -> NDArray[np.float32]:
        """Embeddings of documents of schema `step_files.CORPUS`, shape [documents, size]; NaN where there is none."""
        texts = render(None, documents["title"].combine_chunks(), documents["text"].combine_chunks())
        return self._encoder.embed(texts.to_pylist(), "document")

    def search(self, documents: pa.Table, embedded: NDArray[np.float32], k: int) -> pa.Table:
        """The k best documents of each query, as a table of schema `step_files.HITS`.

        Args:
            documents: of schema `step_files.CORPUS`.
            embedded: their embeddings.
            k: how many, at most.
        """
        order = pc.sort_indices(documents["doc_id"], sort_keys=[("", "descending")])  # that of equal scores
        doc_ids = documents["doc_id"].take(order).to_pylist()
        return hits.table(self._found(embedded[order.to_numpy()], k), doc_ids)

    def _found(
        self, embedded: NDArray[np.float32], k: int
    ) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.float32]]]:
        for start in range(0, len(self._query_ids), _QUERIES_AT_ONCE):
            scores = self._queries[start : start + _QUERIES_AT_ONCE] @ embedded.T
            for query_id, row in zip(self._query_ids[start:], scores, strict=False):
                places = hits.best(row, k)
                yield query_id, places, row[places]


def search_shard(searcher: Searcher, output: str, name: str, k: int, embeddings: str | None = None) -> None:
    """Commits the hits of one shard of the corpus, and its embeddings where they are to be kept.

    Args:
        searcher: the encoder and the queries.
        output: the job's directory.
        name: of the shard.
        k: hits of a query, at most.
        embeddings: a directory for jobs of the same corpus and encoder to share; None to keep none.
    """
    documents = step_files.read(step_files.corpus_path(output, name))
    path = None if embeddings is None else files.join(embeddings, f"{name}.npy")
    embedded = None if path is None else _read(path, len(documents))
    if embedded is None:
        made = embedded = searcher.embed(documents)
        if path is not None:
            files.write_atomically(path, lambda stream: np.save(stream, made, allow_pickle=False))
    counts = {"not_embedded": _lost(embedded), "queries_not_embedded": searcher.lost_queries}
    step_files.write(step_files.hits_path(output, name), searcher.search(documents, embedded, k), counts)


def _read(path: str, documents: int) -> NDArray[np.float32] | None:
    """Embeddings of so many documents that are kept; None where they are not there, or damaged."""
    if not files.exists(path):
        return None
    with files.open_input(path) as stream:
        content = stream.read()
    try:
        embeddings: NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError):
        return None
    return embeddings if embeddings.ndim == 2 and len(embeddings) == documents else None


def _lost(embedded: NDArray[np.float32]) -> int:
    """How many texts have no embedding."""
    return int(np.isnan(embedded).any(axis=1).sum())
