"""Which documents of a scored list are taken as hard negatives.

The rules, and the names of the options, are those of sentence-transformers 6.2's `mine_hard_negatives`, with the job's
scores in place of a model's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from random import Random

import numpy as np
from numpy.typing import NDArray

from eval.export.request import Mining

Scores = NDArray[np.float32]


# Rule -> which scores break it, given the lowest positive's and the rule's number; in float32, as there.
RULES: Mapping[str, Callable[[Scores, np.float32, np.float32], NDArray[np.bool_]]] = {
    "absolute_margin": lambda scores, positive, margin: scores + margin > positive,
    "relative_margin": lambda scores, positive, margin: scores > positive - abs(positive) * margin,
    "max_score": lambda scores, _, limit: scores > limit,
    "min_score": lambda scores, _, limit: scores < limit,
}


class Miner:
    """Chooses the negatives of one list after the other; the random choice goes on from list to list."""

    def __init__(self, mining: Mining, most_positives: int) -> None:
        """Args: the rules; positives of the query that has most, by which range_max is widened for all."""
        self._mining = mining
        limits = asdict(mining)
        self._limits = {rule: limits[rule] for rule in RULES if limits[rule] is not None}
        self._window = None if mining.range_max is None else mining.range_max + most_positives
        self._random = Random(mining.seed)
        self.skipped: Counter[str] = Counter()  # rule -> documents that it left out

    def choose(self, scores: Scores, positive: NDArray[np.bool_]) -> list[int]:
        """The places of the negatives, best first.

        Args:
            scores: of a list's documents, descending, shape [documents].
            positive: which of them are positives, one at least, shape [documents].
        """
        mining = self._mining
        lowest = scores[positive].min()
        left = np.flatnonzero(~positive[: self._window])
        for rule, limit in self._limits.items():
            wrong = RULES[rule](scores[left], lowest, np.float32(limit))
            self.skipped[rule] += int(wrong.sum())
            left = left[~wrong]
        left = left[mining.range_min : mining.range_max]
        if mining.sampling == "top":
            return [int(place) for place in left[: mining.num_negatives]]
        options = max(len(left), mining.num_negatives)
        drawn = sorted(self._random.sample(range(options), mining.num_negatives))
        return [int(left[place]) for place in drawn if place < len(left)]
