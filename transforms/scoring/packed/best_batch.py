"""The batch size for a GPU, measured on some of a job's own sequences."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from transforms.scoring.packed import run_batches
from transforms.scoring.packed.execution import BATCH_TOKENS
from transforms.scoring.packed.run_batches import Forward
from transforms.scoring.packed.sequences import Sequences

BUDGETS = tuple(1 << power for power in range(13, 18))  # 8,192 to 131,072 tokens
SAMPLE_TOKENS = BUDGETS[-1]
REPEATS = 5
# A size is as good as the fastest one if a sample takes at most so many times as long.
AS_GOOD = 1.025
# The share of a time by which it may miss the line through all of them for no other reason than noise.
NOISE = 0.02


class Timed(NamedTuple):
    """What a sample took at one size."""

    seconds: float  # the median
    passes: int


def best_budget(
    sequences: Sequences, forward: Forward, device: torch.device, clock: Callable[[], float] = time.perf_counter
) -> int:
    """The batch size for a model on a device, for input as some sequences of it are; see `choose`.

    All of a sample is run at each size, so that whatever a sequence costs counts: long ones have more attention.

    Args:
        sequences: of the input, in any order; the first SAMPLE_TOKENS tokens of them are the sample.
        forward: the model and its head.
        device: where it runs.
        clock: gives seconds.
    """
    if not len(sequences):
        return BATCH_TOKENS["cuda"]
    sample = sequences.take(np.flatnonzero(np.cumsum(sequences.lengths) <= max(SAMPLE_TOKENS, sequences.lengths[0])))
    return choose(measure(sample, forward, device, candidates(int(sample.lengths.max())), clock))


def candidates(longest: int) -> Sequence[int]:
    """The sizes to try where the longest sequence has so many tokens: those that hold two of them, else the largest."""
    return [budget for budget in BUDGETS if budget >= 2 * longest] or BUDGETS[-1:]


def measure(
    sample: Sequences,
    forward: Forward,
    device: torch.device,
    budgets: Sequence[int],
    clock: Callable[[], float] = time.perf_counter,
) -> dict[int, Timed]:
    """What a sample takes at each size that fits into memory, the sizes taking turns.

    The first turn, which chooses kernels and reserves memory, does not count. Where none fits, there is the last alone.
    """
    seconds: dict[int, list[float]] = {budget: [] for budget in budgets}
    passes: dict[int, int] = {}
    for turn in range(1 + REPEATS):
        for budget in list(seconds):
            counts: Counter[str] = Counter()
            start = clock()
            run_batches.run(sample, forward, budget=budget, device=device, counts=counts)
            passes[budget] = counts["forward_passes"]
            if counts["oom_splits"] and len(seconds) > 1:
                del seconds[budget]
            elif turn:
                seconds[budget].append(clock() - start)
    return {budget: Timed(median(taken), passes[budget]) for budget, taken in seconds.items()}


def choose(timed: Mapping[int, Timed]) -> int:
    """Of the sizes that are as good as the fastest, the one nearest to the default of GPUs."""
    seconds = smooth(list(timed.values()))
    good = [budget for budget, taken in zip(timed, seconds, strict=True) if taken <= AS_GOOD * seconds.min()]
    return min(good, key=lambda budget: (abs(np.log2(budget / BATCH_TOKENS["cuda"])), budget))


def smooth(timed: Sequence[Timed]) -> NDArray[np.float64]:
    """Seconds with less noise, shape [sizes]: a fixed time for each pass, and one for all tokens, explain most of them.

    Both are found by least squares; a time that is further than NOISE from what they give stays as it was measured.
    """
    seconds, passes = np.array(timed).T
    terms = np.stack([np.ones_like(passes), passes], axis=1)
    line = terms @ np.linalg.lstsq(terms, seconds)[0]
    smoothed: NDArray[np.float64] = np.where(np.abs(seconds - line) < NOISE * line, line, seconds)
    return smoothed
