"""What goes into a reranker and what comes out of it, whatever the model family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.schema import ScoringReason


class RankingTask(NamedTuple):
    """One query with the documents to score against it, in the order in which a listwise model shall read them."""

    query: str
    documents: Sequence[str]
    instruction: str | None = None


class Failure(NamedTuple):
    """Why one pair has no score: a word of `schema.REASONS`, and what happened in one line."""

    reason: ScoringReason
    detail: str


@dataclass
class Scores:
    """Scores of all pairs of some tasks, concatenated in input order; every array has shape [pairs].

    `score` is NaN exactly where `failures` has an entry. A ledger column that does not apply to the model is None.
    """

    score: NDArray[np.float32]
    tokens: NDArray[np.int32] | None = None  # all input tokens of the pair, summed over windows
    truncated_tokens: NDArray[np.int32] | None = None  # the document's tokens that the model never saw
    query_truncated_tokens: NDArray[np.int32] | None = None
    windows: NDArray[np.int16] | None = None  # chunks that a long document was read in
    group: NDArray[np.int16] | None = None  # the listwise group, from 0 in each query
    position: NDArray[np.int16] | None = None  # the place in that group, from 0
    best_window: NDArray[np.int16] | None = None  # the window with the highest score, from 0
    best_window_token: NDArray[np.int32] | None = None  # the document's token at which it begins, from 0
    failures: dict[int, Failure] = field(default_factory=dict)  # index of the pair -> why it has no score
    counts: Counter[str] = field(default_factory=Counter)  # of `run_batches.run` or of an endpoint
    seconds: dict[str, float] = field(default_factory=dict)  # stage -> wall-clock seconds: tokenise, forward


# The columns of SCORED and BEST_WINDOW that say what the model read of a pair.
LEDGER = tuple(column.name for column in fields(Scores) if column.default is None)
ARRAYS = ("score", *LEDGER)


def take(scores: Scores, pairs: NDArray[np.int64]) -> Scores:
    """The scores in another order: pair i of the result is pair `pairs[i]`, each taken once."""
    columns = {name: getattr(scores, name) for name in ARRAYS}
    arrays: dict[str, Any] = {name: None if array is None else array[pairs] for name, array in columns.items()}
    places = np.argsort(pairs)
    failures = {int(places[pair]): failure for pair, failure in scores.failures.items()}
    return replace(scores, **arrays, failures=failures)


def concatenate(parts: Sequence[Scores]) -> Scores:
    """The scores of several parts as those of one; counts and seconds are added up."""
    whole = Scores(score=np.concatenate([part.score for part in parts] or [np.zeros(0, dtype=np.float32)]))
    for column in LEDGER:
        arrays = [getattr(part, column) for part in parts]
        if arrays and arrays[0] is not None:
            setattr(whole, column, np.concatenate(arrays))
    start = 0
    for part in parts:
        whole.failures |= {start + pair: failure for pair, failure in part.failures.items()}
        whole.counts += part.counts
        for stage, seconds in part.seconds.items():
            whole.seconds[stage] = whole.seconds.get(stage, 0.0) + seconds
        start += len(part.score)
    return whole


def split(scores: Scores, sizes: Sequence[int]) -> list[Scores]:
    """The scores of parts that have so many pairs; counts and seconds stay with the whole."""
    parts, start = [], 0
    for size in sizes:
        places = range(start, start + size)
        columns = {name: getattr(scores, name) for name in ARRAYS}
        arrays: dict[str, Any] = {
            name: None if array is None else array[start : start + size] for name, array in columns.items()
        }
        failures = {pair - start: failure for pair, failure in scores.failures.items() if pair in places}
        parts.append(Scores(**arrays, failures=failures))
        start += size
    return parts
