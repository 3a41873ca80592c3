"""A sentence encoder as the first stage: exact search, one shard of the corpus at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.retrieval import hits, work
from transforms.scoring import checkpoint
from transforms.scoring.encoder import Encoder
from transforms.scoring.reranker import Specification
from transforms.template import render

_QUERIES_AT_ONCE = 256


class Searcher:
    """A loaded encoder with the embeddings of a job's queries."""

    def __init__(self, specification: Specification, queries: pa.Table) -> None:
        """Load the weights, fetched first on another machine than the one that specified them; embed all queries."""
        found = checkpoint.locate(specification.checkpoint.name, specification.checkpoint.revision)
        self._encoder = Encoder(replace(specification, checkpoint=found))
        self._query_ids = queries["query_id"].to_pylist()
        self._queries = self._encoder.embed(queries["query"].to_pylist(), "query")

    def search(self, documents: pa.Table, k: int) -> tuple[pa.Table, int]:
        """The k best documents of each query.

        Args:
            documents: of schema `work.CORPUS`.
            k: how many, at most.

        Returns:
            A table of schema `work.HITS`, and how many documents have no embedding and so are never found.
        """
        documents = documents.sort_by([("doc_id", "descending")])  # the order of equal scores
        texts = render(None, documents["title"].combine_chunks(), documents["text"].combine_chunks())
        embedded = self._encoder.embed(texts.to_pylist(), "document")
        doc_ids = documents["doc_id"].to_pylist()
        return hits.table(self._found(embedded, k), doc_ids), int(np.isnan(embedded).any(axis=1).sum())

    def _found(
        self, embedded: NDArray[np.float32], k: int
    ) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.float32]]]:
        for start in range(0, len(self._query_ids), _QUERIES_AT_ONCE):
            scores = self._queries[start : start + _QUERIES_AT_ONCE] @ embedded.T
            for query_id, row in zip(self._query_ids[start:], scores, strict=False):
                places = hits.best(row, k)
                yield query_id, places, row[places]


def search_shard(searcher: Searcher, output: str, name: str, k: int) -> None:
    """Commits the hits of one shard of the corpus."""
    found, lost = searcher.search(work.read(work.corpus_path(output, name)), k)
    work.write(work.hits_path(output, name), found, {"not_embedded": lost})
