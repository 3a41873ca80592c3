"""The batch size for a GPU, measured: how many tokens a forward pass takes before more of them bring no more speed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from transforms.scoring.packed.packing import pack
from transforms.scoring.packed.run_batches import Forward, is_out_of_memory
from transforms.scoring.packed.sequences import TokenSequence, sequences_of

BUDGETS = tuple(1 << power for power in range(13, 19))  # 8,192 to 262,144 tokens
SEQUENCE_TOKENS = 512
REPEATS = 3
# Twice the tokens must bring a tenth more speed, so that noise does not settle the choice.
WORTH = 1.1


class Measured(NamedTuple):
    """Tokens of a batch, and how many of such a batch's tokens were done in a second."""

    budget: int
    tokens_per_second: float


def best_budget(forward: Forward, device: torch.device, longest: int) -> int:
    """The batch size for a model on a device; see `choose`. `longest` is how many tokens the model reads at once."""
    return choose(list(measure(forward, device, min(SEQUENCE_TOKENS, longest))))


def choose(measured: Sequence[Measured]) -> int:
    """The last batch size that was worth its memory: each one before it brought `WORTH` times the speed."""
    best = measured[0]
    for more in measured[1:]:
        if more.tokens_per_second < WORTH * best.tokens_per_second:
            break
        best = more
    return best.budget


def measure(
    forward: Forward, device: torch.device, tokens: int = SEQUENCE_TOKENS, budgets: Sequence[int] = BUDGETS
) -> Iterator[Measured]:
    """Speeds at growing batch sizes, until one does not fit into memory; the first is given in any case.

    A batch is of sequences of so many tokens, each read at its last one.
    """
    sequence = TokenSequence(np.ones(tokens, np.int32), np.array([tokens - 1], np.int32), tokens)
    for budget in budgets:
        packed = pack(sequences_of([sequence] * (budget // tokens)), device)
        try:
            seconds = []
            with torch.inference_mode():
                for _ in range(1 + REPEATS):  # the first chooses kernels and reserves memory
                    start = time.perf_counter()
                    forward(packed).cpu()
                    seconds.append(time.perf_counter() - start)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            seconds = []
        if not seconds:
            if budget == budgets[0]:
                yield Measured(budget, 0.0)  # batches are halved where they do not fit
            return
        yield Measured(budget, budget / min(seconds[1:]))
