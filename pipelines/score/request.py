"""What scoring a stream is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.running.request import ModelRequest
from transforms.base.request import refusals
from transforms.input.candidate_order import check_order


@dataclass(frozen=True, kw_only=True)
class ScoreRequest(ModelRequest):
    """Lists on standard input, scored; each field is the option of its name."""

    candidate_order: str = "best_first"
    top_k: int | None = None

    def complaints(self) -> Iterator[str]:
        """Those of the model, and an order that there is not."""
        yield from super().complaints()
        yield from refusals(lambda: check_order(self.candidate_order))
