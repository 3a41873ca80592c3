"""Attention on a CPU with a window and without: seconds of a layer, and how many times as fast the window is.

    python scripts/measure/window_attention.py

One sequence of 8,192 tokens, 12 heads of 64 numbers, bfloat16, in turns: two-sided with 64 tokens on each side
(ModernBERT's), causal with 1,024 (jina-reranker-v3.5's).
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
import torch

from transforms.scoring.packed.attention import sdpa
from transforms.scoring.packed.packing import pack
from transforms.scoring.packed.reach import EARLIER, EVERYTHING, Reach
from transforms.scoring.packed.sequences import TokenSequence, sequences_of

TOKENS, HEADS, SIZE, ROUNDS = 8192, 12, 64, 5


def seconds(states: tuple[torch.Tensor, ...], reach: Reach) -> float:
    """Of one layer's attention."""
    sequence = TokenSequence(np.zeros(TOKENS, np.int32), np.zeros(1, np.int32), TOKENS)
    packed = pack(sequences_of([sequence]), torch.device("cpu"))
    query, key, value = states
    start = perf_counter()
    sdpa(query, key, value, packed, reach, None)
    return perf_counter() - start


def main() -> None:
    states = tuple(torch.randn(TOKENS, HEADS, SIZE, dtype=torch.bfloat16) for _ in range(3))
    for full, window in ((EVERYTHING, Reach(64, 64)), (EARLIER, Reach(1023, 0))):
        with torch.inference_mode():
            times = [(seconds(states, full), seconds(states, window)) for _ in range(ROUNDS + 1)][1:]
        without, within = (min(column) for column in zip(*times, strict=True))
        print(f"{window}: {1e3 * within:.1f} ms, without {1e3 * without:.1f} ms: {without / within:.1f} times as fast")


if __name__ == "__main__":
    main()
