"""A scorer that knows one score, and what it is loaded from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from transforms.scoring.catalogue import UNLISTED
from transforms.scoring.hosted.endpoint import NoExecution
from transforms.scoring.model import Model
from transforms.scoring.results import RankingTask, Scores
from transforms.scoring.scorer import Scorer, no_progress


class Constant(Scorer):
    """Scores every pair 0.5."""

    def score_tasks(self, tasks: Sequence[RankingTask], progress: Callable[[float, int], None] = no_progress) -> Scores:
        return Scores(np.full(sum(len(task.documents) for task in tasks), 0.5, dtype=np.float32))


@dataclass(frozen=True)
class ConstantSpecification:
    """A third kind of scorer, neither a model that is loaded nor an endpoint."""

    model: Model = UNLISTED
    execution: NoExecution = field(default_factory=NoExecution)
    hosted: bool = False
    leaves_cpu_free: bool = False

    def fingerprint(self) -> dict[str, Any]:
        return {"model": "constant"}

    def parameters(self) -> None: ...

    def gpus(self) -> int:
        return 0

    def with_best_batch(self, tasks: Iterable[RankingTask], *, keep: bool) -> ConstantSpecification:
        return self

    def load(self) -> Constant:
        return Constant()
