"""What scoring a stream is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipelines.running.request import ModelRequest
from transforms.base.request import Check, refusals
from transforms.input.candidate_order import check_order


@dataclass(frozen=True, kw_only=True)
class ScoreRequest(ModelRequest):
    """Lists on standard input, scored; each field is the option of its name."""

    candidate_order: str = "best_first"
    top_k: int | None = None

    def checks(self) -> Iterable[Check]:
        """An order that there is not, and those of the model, which may read none."""
        return self._order_complaints, lambda: self.model_complaints(self.candidate_order)

    def _order_complaints(self) -> Iterator[str]:
        return refusals(lambda: check_order(self.candidate_order))
