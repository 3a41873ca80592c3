"""BM25 as the first stage, by bm25s, whose index is in memory."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable

import bm25s
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.input.template import render
from transforms.retrieval import hits, step_files
from transforms.retrieval.analysis import Analyse, analyser, describe

logging.getLogger("bm25s").setLevel(logging.WARNING)  # it reports each step otherwise

# Anserini's for BEIR and MIRACL.
K1, B = 0.9, 0.4


class Index:
    """Documents to search."""

    def __init__(self, shards: Iterable[pa.Table], analyse: Analyse) -> None:
        """Index all documents.

        Args:
            shards: tables of schema `step_files.CORPUS`.
            analyse: what makes terms of a text.
        """
        self._analyse = analyse
        self._terms: dict[str, int] = {}
        doc_ids: list[str] = []
        documents: list[array[int]] = []
        for shard in shards:
            doc_ids += shard["doc_id"].to_pylist()
            texts = render(None, shard["title"].combine_chunks(), shard["text"].combine_chunks())
            documents += [
                array("i", (self._terms.setdefault(term, len(self._terms)) for term in analyse(text)))
                for text in texts.to_pylist()
            ]
        order = sorted(range(len(doc_ids)), key=doc_ids.__getitem__, reverse=True)
        self.doc_ids = [doc_ids[place] for place in order]
        self._searcher: bm25s.BM25 | None = None
        if self._terms:
            self._searcher = bm25s.BM25(k1=K1, b=B, method="lucene")
            self._searcher.index(([documents[place] for place in order], self._terms), show_progress=False)

    def search(self, query: str, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places in `doc_ids` of the k best documents that share a term with the query, and their scores."""
        terms = [self._terms[term] for term in self._analyse(query) if term in self._terms]
        if self._searcher is None or not terms:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        scores = self._searcher.get_scores_from_ids(terms)
        scores[scores <= 0] = -np.inf
        places = hits.best(scores, k)
        return places, scores[places]


def settings(language: str) -> dict[str, object]:
    """What decides the scores, for a job's record."""
    return {"kind": "bm25", "k1": K1, "b": B, "analysis": describe(language), "bm25s": bm25s.__version__}


def index(output: str, shards: Iterable[str], language: str) -> Index:
    """The index of a job's committed shards."""
    return Index((step_files.read(step_files.corpus_path(output, name)) for name in sorted(shards)), analyser(language))
