from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from transforms.scoring.packing import Packed, Run, TokenSequence, pack, plan_batches, runs_of

CPU = torch.device("cpu")


def sequence(ids: list[int], reads: list[int], second_segment: int) -> TokenSequence:
    return TokenSequence(np.array(ids, dtype=np.int32), np.array(reads, dtype=np.int32), second_segment)


@pytest.mark.parametrize(
    ("lengths", "budget", "batches"),
    [
        ([], 10, []),
        ([3], 10, [[0]]),
        ([2, 5, 3], 10, [[1, 2, 0]]),
        ([2, 5, 3], 8, [[1, 2], [0]]),  # 5 + 3 fills the budget exactly
        ([2, 5, 3], 7, [[1], [2, 0]]),
        ([4, 4, 4, 4, 4], 8, [[0, 1], [2, 3], [4]]),  # equal lengths keep their order
        ([20, 3, 3], 10, [[0], [1, 2]]),  # longer than the budget: alone
        ([3, 3, 20, 30], 10, [[3], [2], [0, 1]]),
        ([1, 2], 1, [[1], [0]]),
        ([0, 1, 0], 1, [[1, 0, 2]]),
    ],
)
def test_plan_batches(lengths: list[int], budget: int, batches: list[list[int]]) -> None:
    assert [batch.tolist() for batch in plan_batches(lengths, budget)] == batches


@given(st.lists(st.integers(1, 50)), st.integers(1, 100))
def test_plan_batches_takes_each_sequence_once_and_keeps_to_the_budget(lengths: list[int], budget: int) -> None:
    batches = plan_batches(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or sum(lengths[i] for i in batch) <= budget for batch in batches)
    assert all(
        sum(lengths[i] for i in batch) + lengths[following[0]] > budget for batch, following in pairwise(batches)
    )


@pytest.mark.parametrize(
    ("lengths", "runs"),
    [
        ([], ()),
        ([4], (Run(0, 1, 4),)),
        ([3, 3, 3], (Run(0, 3, 3),)),
        ([5, 3, 3, 5], (Run(0, 1, 5), Run(5, 2, 3), Run(11, 1, 5))),
        ([2, 0, 0, 2], (Run(0, 2, 2),)),  # nothing lies between the two
        ([0], ()),
    ],
)
def test_runs_of(lengths: list[int], runs: tuple[Run, ...]) -> None:
    assert runs_of(lengths) == runs


@pytest.fixture
def packed() -> Packed:
    return pack([sequence([11, 12, 13, 14], [0, 3], 2), sequence([21, 22], [1], 2), sequence([31, 32], [0], 1)], CPU)


def test_pack_lays_sequences_end_to_end(packed: Packed) -> None:
    assert packed.ids.tolist() == [11, 12, 13, 14, 21, 22, 31, 32]
    assert packed.lengths == (4, 2, 2)
    assert packed.offsets.tolist() == [0, 4, 6, 8]
    assert packed.runs == (Run(0, 1, 4), Run(4, 2, 2))
    assert (packed.ids.dtype, packed.offsets.dtype) == (torch.int64, torch.int32)


def test_pack_shifts_reads_to_the_whole(packed: Packed) -> None:
    assert packed.reads.tolist() == [0, 3, 5, 6]


def test_pack_marks_second_segments(packed: Packed) -> None:
    assert packed.types.tolist() == [0, 0, 1, 1, 0, 0, 0, 1]


def test_places_count_from_zero_in_each_sequence(packed: Packed) -> None:
    assert packed.places().tolist() == [0, 1, 2, 3, 0, 1, 0, 1]
