"""What `python -m eval throughput` is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ThroughputRequest:
    """What to measure, and how; each field is the argument of its name."""

    model: str | None
    model_like: str | None
    tokenizer: str | None
    pairs: tuple[int, ...]
    tokens_per_pair: int | None
    max_length: int | None
    device: str
    dtype: str
    attention: str
    batch_tokens: int | None
    group_size: int | None
    repeats: int
    without: tuple[str, ...]
    price_per_hour: float | None
    large: bool
