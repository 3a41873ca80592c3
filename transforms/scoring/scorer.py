"""What scores pairs, be it a model that is loaded here or one that is asked over the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from transforms.scoring.model import Model
from transforms.scoring.results import RankingTask, Scores

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def no_progress(pairs: float, tokens: int) -> None:
    """Tell nobody."""


class Scorer(ABC):
    """Scores (query, document) pairs."""

    @abstractmethod
    def score_tasks(self, tasks: Sequence[RankingTask], progress: Callable[[float, int], None] = no_progress) -> Scores:
        """Scores of all pairs with the ledger of what was cut and what failed.

        Args:
            tasks: queries with their documents.
            progress: called now and then with the pairs and tokens that were done since the last call.
        """

    def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[float]:
        """Scores of the documents in input order, in the vendor's convention; NaN where there is none."""
        return self.score_lists([RankingTask(query, documents, instruction)])[0]

    def score_lists(self, lists: Sequence[tuple[str, Sequence[str]] | RankingTask]) -> list[list[float]]:
        """Scores of each list's documents in input order, packed across the lists; NaN where there is none."""
        tasks = [RankingTask(*task) for task in lists]
        ends = np.cumsum([len(task.documents) for task in tasks])
        return [part.tolist() for part in np.split(self.score_tasks(tasks).score, ends[:-1])] if tasks else []


class ScorerSpecification(Protocol):
    """A scorer to load, everything settled and checked that can be without loading it; it travels to the workers."""

    @property
    def model(self) -> Model:
        """What is known of it."""

    @property
    def execution(self) -> DataclassInstance:
        """Where and how its arithmetic runs."""

    @property
    def hosted(self) -> bool:
        """Whether somebody else computes the scores, and may charge for them."""

    def fingerprint(self) -> dict[str, Any]:
        """What decides the scores besides the execution."""

    def parameters(self) -> float | None:
        """In billions; None where that is unknown."""

    def gpus(self) -> int:
        """GPUs of this machine that worker processes can share out."""

    def with_best_batch(self) -> ScorerSpecification:
        """The same with the batch size that serves it best here."""

    def load(self) -> Scorer:
        """The scorer, ready to score."""
