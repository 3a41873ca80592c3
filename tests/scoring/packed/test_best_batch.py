from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from transforms.scoring.packed.best_batch import BUDGETS, REPEATS, Timed, best_budget, candidates, choose, measure
from transforms.scoring.packed.packing import Packed, plan_batches
from transforms.scoring.packed.ragged import ragged
from transforms.scoring.packed.sequences import Sequences, read_once

CPU = torch.device("cpu")


def sequences(lengths: Sequence[int]) -> Sequences:
    ids = ragged([np.ones(length, dtype=np.int32) for length in lengths])
    return read_once(ids, np.zeros(len(lengths), dtype=np.int64))


Seconds = Callable[[NDArray[np.int64]], float]  # of a pass, by the lengths of its sequences


@dataclass
class Card:
    """A device with a clock of its own, whose passes take what a formula says.

    Attributes:
        seconds: of a pass.
        memory: tokens of a pass, at most.
    """

    seconds: Seconds
    memory: int
    now: float = 0.0
    passes: list[int] = field(default_factory=list)

    def forward(self, packed: Packed) -> torch.Tensor:
        if len(packed.ids) > self.memory:
            raise torch.OutOfMemoryError("no memory")
        self.passes.append(len(packed.ids))
        self.now += self.seconds(np.array(packed.lengths))
        return torch.zeros(len(packed.reads), 1)

    def clock(self) -> float:
        return self.now


def linear(a_pass: float, attention: float = 0.0) -> Seconds:
    """A fixed time, a millionth of a second a token, and attention that grows with the square of a length."""
    return lambda lengths: float(a_pass + 1e-6 * lengths.sum() + attention * (lengths.astype(float) ** 2).sum())


def crowded(lengths: NDArray[np.int64]) -> float:
    """Passes beyond 32,768 tokens leave a cache, so that each token takes a tenth longer."""
    return float(1e-3 + 1e-6 * lengths.sum() * (1.1 if lengths.sum() > 32_768 else 1.0))


PAIRS = np.array([40, 155, 155, 300, 90] * 170)
GROUPS = np.array([16_000, 15_200, 9_000] * 3)  # of a listwise model


@pytest.mark.parametrize(
    ("seconds", "lengths", "budget"),
    [
        (linear(1e-4), PAIRS, 65_536),
        (linear(1e-3), PAIRS, 65_536),
        (linear(8e-3), PAIRS, 131_072),  # a small model, whose passes wait for the host
        (linear(1e-3, attention=1e-10), GROUPS, 65_536),
        (linear(2e-2, attention=1e-10), GROUPS, 131_072),
        (crowded, PAIRS, 32_768),
        (linear(1e-3), PAIRS[:50], 65_536),  # little input
    ],
)
def test_twenty_runs_choose_the_same_size_which_is_within_three_percent_of_the_best(
    seconds: Seconds, lengths: NDArray[np.int64], budget: int
) -> None:
    none = np.zeros_like(lengths)
    passes = {
        size: [seconds(lengths[batch]) for batch in plan_batches(lengths, size, none - 1, none, none)]
        for size in candidates(int(lengths.max()))
    }

    def chosen(random: np.random.Generator) -> int:
        """After each pass took up to some percent more or less than it should."""
        turns = {
            size: [np.dot(each, random.normal(1, 0.01, len(each))) for _ in range(REPEATS)]
            for size, each in passes.items()
        }
        return choose({size: Timed(median(taken), len(passes[size])) for size, taken in turns.items()})

    assert {chosen(np.random.default_rng(seed)) for seed in range(20)} == {budget}
    assert sum(passes[budget]) <= 1.03 * min(map(sum, passes.values()))


def test_two_of_the_longest_sequences_fit_into_a_pass() -> None:
    assert candidates(155) == [8_192, 16_384, 32_768, 65_536, 131_072]
    assert candidates(16_000) == [32_768, 65_536, 131_072]
    assert candidates(100_000) == (131_072,)


@pytest.mark.parametrize(
    ("seconds", "budget"),
    [
        ([1.00, 1.01, 1.00, 1.01, 1.00], 65_536),
        ([1.00, 1.00, 1.00, 1.20, 1.20], 32_768),
        ([1.50, 1.30, 1.20, 1.10, 1.00], 131_072),
        ([1.00, 1.20, 1.30, 1.40, 1.02], 131_072),
        ([1.00, 1.50], 8_192),
    ],
)
def test_among_equals_the_size_nearest_to_the_default_is_taken(seconds: list[float], budget: int) -> None:
    timed = {size: Timed(taken, 1) for size, taken in zip(BUDGETS, seconds, strict=False)}
    assert choose(timed) == budget


def test_sizes_take_turns_and_one_that_does_not_fit_has_no_second_turn() -> None:
    card = Card(linear(1e-3), memory=2048)
    timings = measure(sequences([512] * 8), card.forward, CPU, (1024, 2048, 4096), card.clock)
    assert {size: timed.passes for size, timed in timings.items()} == {1024: 4, 2048: 2}
    assert [timed.seconds for timed in timings.values()] == pytest.approx([8.096e-3, 6.096e-3])
    assert card.passes == [1024] * 4 + [2048] * 4 + ([1024] * 4 + [2048] * 2) * REPEATS


def test_not_even_the_smallest_fits() -> None:
    def forward(packed: Packed) -> torch.Tensor:
        raise torch.OutOfMemoryError("no memory")

    assert list(measure(sequences([100]), forward, CPU, (1024, 2048), lambda: 0.0)) == [2048]
    assert best_budget(sequences([100] * 9), forward, CPU) == BUDGETS[-1]


def test_without_a_sequence_the_size_is_the_default() -> None:
    assert best_budget(sequences([]), lambda packed: torch.zeros(1), CPU) == 65_536


def test_other_errors_are_not_hidden() -> None:
    def forward(packed: Packed) -> torch.Tensor:
        raise RuntimeError("wrong shape")

    with pytest.raises(RuntimeError, match=r"^wrong shape$"):
        best_budget(sequences([100]), forward, CPU)
