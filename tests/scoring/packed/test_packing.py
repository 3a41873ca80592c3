from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from transforms.scoring.packed.packing import Filling, Packed, Run, filled, pack, plan_batches, runs_of
from transforms.scoring.packed.sequences import NO_PREFIX, Prefix, TokenSequence, sequences_of

CPU = torch.device("cpu")


def planned(
    lengths: list[int], budget: int, prefixes: list[Prefix] | None = None, parts: list[int] | None = None
) -> list[list[int]]:
    sizes = np.array(lengths, dtype=np.int64)
    groups, tokens = np.array(prefixes or [NO_PREFIX] * len(lengths), dtype=np.int64).reshape(-1, 2).T
    numbers = np.zeros_like(sizes) if parts is None else np.array(parts)
    return [batch.tolist() for batch in plan_batches(sizes, budget, groups, tokens, numbers)]


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
    assert planned(lengths, budget) == batches


def test_no_batch_has_sequences_of_two_parts() -> None:
    assert planned([5, 6, 5, 7, 1], 12, parts=[1, 0, 1, 0, 1]) == [[3], [1], [0, 2, 4]]
    assert planned([5, 6], 100, [Prefix(0, 3)] * 2, [1, 0]) == [[1], [0]]


@given(st.lists(st.integers(1, 50)), st.integers(1, 100))
def test_plan_batches_takes_each_sequence_once_and_keeps_to_the_budget(lengths: list[int], budget: int) -> None:
    batches = planned(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or sum(lengths[i] for i in batch) <= budget for batch in batches)
    assert all(
        sum(lengths[i] for i in batch) + lengths[following[0]] > budget for batch, following in pairwise(batches)
    )


@pytest.mark.parametrize(
    ("lengths", "groups", "budget", "batches"),
    [
        ([5, 6, 5, 7], [0, 0, 1, 1], 100, [[1, 0, 3, 2]]),  # by group, then longest first
        ([5, 6, 5, 7], [0, 0, 1, 1], 8, [[1, 0], [3], [2]]),  # 6 + (5 - 3) fills the budget; 7 + (5 - 3) does not fit
        ([5, 6, 5, 7], [0, 0, 1, 1], 9, [[1, 0], [3, 2]]),
        ([5, 5, 5], [0, 0, 0], 7, [[0, 1], [2]]),  # each batch has the prefix once
        ([4] * 9, [0] * 9, 8, [[0, 1, 2, 3, 4], [5, 6, 7, 8]]),
        ([4] * 9, [0] * 9, 5, [[0, 1], [2, 3], [4, 5], [6, 7], [8]]),
    ],
)
def test_plan_batches_by_prefix(lengths: list[int], groups: list[int], budget: int, batches: list[list[int]]) -> None:
    prefixes = [Prefix(group, 3) for group in groups]
    assert planned(lengths, budget, prefixes) == batches


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
    sequences = [sequence([11, 12, 13, 14], [0, 3], 2), sequence([21, 22], [1], 2), sequence([31, 32], [0], 1)]
    return pack(sequences_of(sequences), CPU)


def test_pack_lays_sequences_end_to_end(packed: Packed) -> None:
    assert packed.ids.tolist() == [11, 12, 13, 14, 21, 22, 31, 32]
    assert packed.lengths == (4, 2, 2)
    assert packed.offsets.tolist() == [0, 4, 6, 8]
    assert packed.runs == (Run(0, 1, 4), Run(4, 2, 2))
    assert (packed.ids.dtype, packed.offsets.dtype) == (torch.int32, torch.int32)


def test_pack_shifts_reads_to_the_whole(packed: Packed) -> None:
    assert packed.reads.tolist() == [0, 3, 5, 6]


def test_pack_marks_second_segments(packed: Packed) -> None:
    assert packed.types.tolist() == [0, 0, 1, 1, 0, 0, 0, 1]


def test_pack_keeps_a_common_prefix_once() -> None:
    first, second = Prefix(0, 2), Prefix(1, 1)
    packed = pack(
        sequences_of(
            [
                TokenSequence(np.array([11, 12, 13, 14]), np.array([3]), 4, first),
                TokenSequence(np.array([11, 12, 15]), np.array([2]), 3, first),
                TokenSequence(np.array([21, 22]), np.array([1]), 2, second),
                TokenSequence(np.array([21, 23]), np.array([1]), 2, second),
            ]
        ),
        CPU,
    )
    assert packed.ids.tolist() == [11, 12, 13, 14, 15, 21, 22, 23]
    assert packed.places().tolist() == [0, 1, 2, 3, 2, 0, 1, 1]
    assert packed.reads.tolist() == [3, 4, 6, 7]
    assert (packed.lengths, packed.offsets.tolist()) == ((4, 3, 2, 2), [0, 4, 7, 9, 11])
    assert packed.shared is not None
    assert packed.shared.sources.tolist() == [0, 1, 2, 3, 0, 1, 4, 5, 6, 5, 7]
    assert packed.shared.kept.tolist() == [0, 1, 2, 3, 6, 7, 8, 10]
    assert packed.types.tolist() == [0] * 8


def test_filled_adds_sequences_of_one_token_up_to_a_round_number(packed: Packed) -> None:
    assert (packed.padding, packed.unread) == (0, 0)
    full = filled(packed, Filling(64, 1))
    assert (full.padding, full.unread) == (56, 60)
    assert full.ids.tolist() == [11, 12, 13, 14, 21, 22, 31, 32, *[0] * 56]
    assert full.lengths == (4, 2, 2, *[1] * 56)
    assert full.offsets.tolist() == [0, 4, 6, *range(8, 65)]
    assert full.offsets.dtype == torch.int32
    assert full.runs == (Run(0, 1, 4), Run(4, 2, 2), Run(8, 56, 1))
    assert full.types.tolist() == [0, 0, 1, 1, 0, 0, 0, 1, *[0] * 56]
    assert full.places().tolist() == [0, 1, 2, 3, 0, 1, 0, 1, *[0] * 56]
    assert full.reads.tolist() == [0, 3, 5, 6, *[0] * 60]


def test_filled_counts_a_common_prefix_once() -> None:
    prefix = Prefix(0, 2)
    ids = [np.array([11, 12, last]) for last in (13, 14)]
    full = pack(sequences_of([TokenSequence(one, np.array([2]), 3, prefix) for one in ids]), CPU, Filling(1, 64))
    assert (full.padding, full.unread) == (60, 62)
    assert full.ids.tolist() == [11, 12, 13, 14, *[0] * 60]
    assert full.runs == (Run(0, 2, 3), Run(6, 60, 1))
    assert full.shared is not None
    assert full.shared.sources.tolist() == [0, 1, 2, 0, 1, 3, *range(4, 64)]
    assert full.shared.kept.tolist() == [0, 1, 2, 5, *range(6, 66)]
    assert full.reads.tolist() == [2, 3, *[0] * 62]


def test_pack_of_sequences_without_a_common_prefix(packed: Packed) -> None:
    assert packed.shared is None
    lonely = [TokenSequence(np.array([1, 2]), np.array([1]), 2, Prefix(group, 1)) for group in (0, 1, 0)]
    assert pack(sequences_of(lonely), CPU).shared is None


def test_places_count_from_zero_in_each_sequence(packed: Packed) -> None:
    assert packed.places().tolist() == [0, 1, 2, 3, 0, 1, 0, 1]


def test_plan_batches_bounds_what_attention_lays_out() -> None:
    prefixes = [Prefix(0, 9)] * 9
    # Each adds a token to the budget of 100, but ten to the 400 that attention may lay out.
    assert [len(batch) for batch in planned([10] * 90, 100, prefixes * 10)] == [40, 40, 10]
