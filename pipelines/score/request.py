"""What scoring a stream is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.running.request import ModelRequest, model_refusals
from transforms.base.request import refusals
from transforms.input.candidate_order import check_order


@dataclass(frozen=True, kw_only=True)
class ScoreRequest(ModelRequest):
    """Lists on standard input, scored; each field is the option of its name."""

    candidate_order: str = "best_first"
    top_k: int | None = None

    def complaints(self) -> Iterator[str]:
        """An order that there is not, and those of the model, which may read none."""
        no_order = [*refusals(lambda: check_order(self.candidate_order))]
        yield from no_order
        order = "best_first" if no_order else self.candidate_order
        yield from model_refusals(self, self.model, self.model_like, self.revision, order)
