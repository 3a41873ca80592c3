"""Lists that are read in several contexts: which documents share one, and one list's scores from those of its groups.

Source: jina-reranker-v3's own modeling.py (`rerank`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.scoring.families.pairs import Pairs
from transforms.scoring.packed.ragged import Counts
from transforms.scoring.packed.run_batches import Rows


class Groups(NamedTuple):
    """Which readable pairs are read together: C groups, those of a query in a row; each array has shape [C]."""

    tasks: Counts  # the query's
    numbers: Counts  # among the query's, from 0
    firsts: Counts  # the place of the first document
    sizes: Counts  # documents


def grouped(pairs: Pairs, max_length: int, longest: int, longest_query: int, size: int) -> Groups:
    """Which documents share a context.

    Args:
        pairs: those that can be read.
        max_length: tokens of a context, of which the query takes twice its own.
        longest: tokens that a document may have; the rest is cut.
        longest_query: tokens that a query may have.
        size: documents in a context, at most.
    """
    lengths = np.minimum(pairs.document.sizes, longest)
    firsts = np.flatnonzero(np.diff(pairs.tasks, prepend=-1))
    rooms = max_length - 2 * np.minimum(pairs.query.sizes[firsts], longest_query)
    bounds = firsts.tolist(), [*firsts[1:].tolist(), len(lengths)]
    groups = [
        (task, number, first + group.start, len(group))
        for task, room, first, end in zip(pairs.tasks[firsts].tolist(), rooms.tolist(), *bounds, strict=False)
        for number, group in enumerate(groups_of(lengths[first:end], room, longest, size))
    ]
    return Groups(*np.array(groups, dtype=np.int64).reshape(-1, 4).T)


def groups_of(lengths: Counts, room: int, longest: int, size: int) -> list[range]:
    """Which neighbouring documents share a context.

    A group is closed when it is full, or when the room left is not above the length that any document may have.

    Args:
        lengths: tokens of each document, shape [N].
        room: tokens of a context's documents together.
        longest: tokens that a document may have.
        size: documents in a context, at most.
    """
    groups: list[range] = []
    ends = np.cumsum(lengths)
    start = taken = 0
    while start < len(lengths):
        full = int(np.searchsorted(ends, taken + room - longest)) + 1
        end = min(max(full, start + 1), start + size, len(lengths))
        groups.append(range(start, end))
        start, taken = end, int(ends[end - 1])
    return groups


def merge(groups: Sequence[Rows]) -> NDArray[np.float64]:
    """Scores of one query's documents from the embeddings of its groups.

    All documents are scored against one query embedding: the mean over the groups, weighted by the best (1 + score) / 2
    in each; a group without a score has no weight.

    Args:
        groups: for each group the embeddings of its documents and, last, of the query, shape [documents + 1, width].

    Returns:
        The cosines of all documents in order; NaN for an embedding without length.
    """
    exact = [rows.astype(np.float64) for rows in groups]
    # fmax ignores NaN. A cosine does not see the query's length, so the sum of the weights need not be divided by.
    weights = [(1 + np.fmax.reduce(cosines(rows[-1], rows[:-1]), initial=-1)) / 2 for rows in exact]
    query = np.asarray(weights) @ np.stack([rows[-1] for rows in exact])
    return np.concatenate([cosines(query, rows[:-1]) for rows in exact])


def cosines(query: NDArray[np.float64], documents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine of the query, shape [width], with each document, shape [N, width]; NaN where one has no length."""
    with np.errstate(invalid="ignore"):
        result: NDArray[np.float64] = documents @ query / (np.linalg.norm(documents, axis=1) * np.linalg.norm(query))
    return result
