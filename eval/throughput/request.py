"""What `python -m eval throughput` is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eval.ranking.files import output_refusals
from eval.throughput.options import PAIRS, SAMPLE
from eval.throughput.sizes import has_weights, sizes_of
from transforms.base.request import Check, Request, refusals
from transforms.scoring.choices import check_device


@dataclass(frozen=True, kw_only=True)
class ThroughputRequest(Request):
    """What to measure, and how."""

    model: str | None
    model_like: str | None
    tokenizer: str | None
    candidates: str | None
    pairs: tuple[int, ...]
    list_size: int | None
    tokens_per_pair: int | None
    max_length: int | None
    device: str
    dtype: str
    attention: str
    batch_tokens: int | None
    group_size: int | None
    repeats: int
    without: tuple[str, ...]
    host_only: bool
    price_per_hour: float | None
    large: bool
    json: Path | None

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many pairs to score; what is measured at one number alone takes the first."""
        return self.pairs or (PAIRS,)

    def checks(self) -> Iterable[Check]:
        """No model, or one of unknown sizes; no candidates; an unknown device; a file that cannot be written."""
        return (
            self._complaints,
            lambda: refusals(lambda: check_device(self.device)),
            lambda: output_refusals({"--json": self.json}),
        )

    def _complaints(self) -> Iterator[str]:
        if self.model is None and not self.host_only:
            yield "--model: none is given; give one, or --host_only"
        if self.model is not None and not has_weights(self.model):
            yield from refusals(partial(sizes_of, self.model))
        if self.candidates is None and not SAMPLE.is_file():
            yield "--candidates: the demo's are not at hand, as they are in a checkout; give a Parquet file"
