from __future__ import annotations

import pytest
import torch

from transforms.scoring.packed.best_batch import BUDGETS, Measured, best_budget, choose, measure
from transforms.scoring.packed.packing import Packed

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("speeds", "budget"),
    [
        ([100.0, 150.0, 160.0, 300.0], 16_384),  # what comes after a step that did not pay is not looked at
        ([100.0, 111.0, 123.0, 136.0], 65_536),
        ([100.0, 109.9], 8_192),
        ([100.0, 40.0], 8_192),
        ([0.0], 8_192),  # not even the smallest fitted
    ],
)
def test_choice(speeds: list[float], budget: int) -> None:
    assert choose([Measured(tokens, speed) for tokens, speed in zip(BUDGETS, speeds, strict=False)]) == budget


def test_measured_until_the_memory_ends() -> None:
    seen: list[tuple[int, ...]] = []

    def forward(packed: Packed) -> torch.Tensor:
        seen.append((len(packed.lengths), len(packed.ids), int(packed.reads[0])))
        if len(packed.ids) > 2048:
            raise torch.OutOfMemoryError("no memory")
        return torch.zeros(1)

    rounds = list(measure(forward, CPU, budgets=(1024, 2048, 4096, 8192)))
    assert [one.budget for one in rounds] == [1024, 2048]
    assert all(one.tokens_per_second > 0 for one in rounds)
    assert seen == [(2, 1024, 511)] * 4 + [(4, 2048, 511)] * 4 + [(8, 4096, 511)]


def test_no_sequence_is_longer_than_the_model_reads() -> None:
    seen: set[int] = set()

    def forward(packed: Packed) -> torch.Tensor:
        seen.update(packed.lengths)
        raise torch.OutOfMemoryError("no memory")

    assert best_budget(forward, CPU, longest=128) == BUDGETS[0]
    assert seen == {128}


def test_not_even_the_smallest_fits() -> None:
    def forward(packed: Packed) -> torch.Tensor:
        raise torch.OutOfMemoryError("no memory")

    assert list(measure(forward, CPU, budgets=(1024, 2048))) == [Measured(1024, 0.0)]


def test_other_errors_are_not_hidden() -> None:
    def forward(packed: Packed) -> torch.Tensor:
        raise RuntimeError("wrong shape")

    with pytest.raises(RuntimeError, match=r"^wrong shape$"):
        list(measure(forward, CPU))
