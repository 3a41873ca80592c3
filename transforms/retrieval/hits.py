"""The best documents of a query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.retrieval import step_files


def best(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Places of the k highest scores, best first; of equal ones those that come first.

    Where the documents stand in descending order of their ids, that is trec_eval's order.

    Args:
        scores: [documents]; what is not a finite number is never among the best.
        k: how many, at most.
    """
    places = np.flatnonzero(np.isfinite(scores))
    if k < len(places):
        finite = scores[places]
        places = places[finite >= np.partition(finite, -k)[-k]]
    order: NDArray[np.int64] = places[np.argsort(-scores[places], kind="stable")][:k]
    return order


def table(results: Iterable[tuple[str, NDArray[np.int64], NDArray[np.float32]]], doc_ids: Sequence[str]) -> pa.Table:
    """Hits of queries as a table of schema `step_files.HITS`.

    Args:
        results: a query's id, the places of its documents in `doc_ids`, and their scores.
        doc_ids: of all documents.
    """
    ids = pa.array(doc_ids, pa.string())
    parts = [
        pa.table([pa.array([query_id] * len(places), pa.string()), ids.take(pa.array(places)), scores], names=_NAMES)
        for query_id, places, scores in results
    ]
    return pa.concat_tables([step_files.HITS.empty_table(), *(part.cast(step_files.HITS) for part in parts)])


_NAMES = step_files.HITS.names
