"""Other ways to score the same pairs, each at the batches that it may be fastest at."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from eval.throughput.options import PEER_BATCH, PEER_BATCHES

BATCH = ", batch "  # in the name of an arm, where it is not sentence-transformers' default


def batches_for(pairs: int) -> list[int]:
    """Batches to measure a peer at: of those that would hold all pairs the smallest alone."""
    return [size for smaller, size in pairwise((0, *PEER_BATCHES)) if smaller < pairs]


def at_batch(name: str, size: int) -> str:
    """The name of a peer's arm."""
    return name if size == PEER_BATCH else f"{name}{BATCH}{size}"


def best_batches(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each peer that was measured at several batches the fastest: its batch, and how much faster the core is."""
    arms_of: dict[str, list[str]] = {}
    for name in rows:
        arms_of.setdefault(name.partition(BATCH)[0], []).append(name)
    return {
        peer: {
            "batch": int(best.partition(BATCH)[2] or PEER_BATCH),
            "pairs_per_second": rows[best]["pairs_per_second"],
            "core_is_faster": rows[best]["core_is_faster"],
        }
        for peer, names in arms_of.items()
        if len(names) > 1
        for best in [max(names, key=lambda name: rows[name]["pairs_per_second"])]
    }
