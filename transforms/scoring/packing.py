"""Token sequences laid end to end, without padding: which go together, and where each one lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Ids = NDArray[np.int32]


class TokenSequence(NamedTuple):
    """One input of the model.

    Attributes:
        ids: token ids, shape [tokens].
        reads: the places in `ids` whose hidden states the head reads, ascending, shape [reads].
        second_segment: place of the first token of type 1 (BERT's second segment); len(ids) where there is none.
    """

    ids: Ids
    reads: Ids
    second_segment: int


class Run(NamedTuple):
    """Neighbouring sequences of one length, so that they can be viewed as a rectangle without copying."""

    start: int  # place of the first token
    sequences: int
    length: int  # tokens in each


@dataclass(frozen=True)
class Packed:
    """Sequences laid end to end. T tokens, N sequences, R reads.

    Attributes:
        ids: int64, shape [T].
        lengths: tokens of each sequence, N entries.
        offsets: int32, shape [N + 1]; sequence i is offsets[i]:offsets[i + 1] (the `cu_seqlens` of variable-length
            attention kernels).
        reads: int64, shape [R], places in 0..T-1; each sequence's together, in order.
        types: int64, shape [T]: 0 before a sequence's second segment, 1 from there on.
        runs: the same lengths as rectangles.
    """

    ids: torch.Tensor
    lengths: tuple[int, ...]
    offsets: torch.Tensor
    reads: torch.Tensor
    types: torch.Tensor
    runs: tuple[Run, ...]

    def places(self) -> torch.Tensor:
        """Place of each token in its own sequence, from 0: int64, shape [T]."""
        starts = self.offsets[:-1].repeat_interleave(self.offsets.diff())
        return torch.arange(len(self.ids), device=self.ids.device) - starts


def plan_batches(lengths: Sequence[int] | NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
    """Which sequences share a forward pass.

    Longest first, so that the largest batch in memory comes first and neighbours have equal lengths; sequences of one
    length keep their order. A batch is closed when the next sequence would take it over the budget; a sequence longer
    than the budget is a batch alone.

    Args:
        lengths: tokens of each sequence.
        budget: tokens of a batch, at most.

    Returns:
        Indices into `lengths`, each once; one array a batch.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[NDArray[np.int64]] = []
    start = total = 0
    for place, index in enumerate(order):
        length = int(lengths[index])
        if place > start and total + length > budget:
            batches.append(order[start:place])
            start, total = place, 0
        total += length
    if len(order):
        batches.append(order[start:])
    return batches


def runs_of(lengths: Sequence[int]) -> tuple[Run, ...]:
    """Group neighbours of equal length; empty sequences give no run."""
    runs: list[Run] = []
    start = 0
    for length in lengths:
        if runs and runs[-1].length == length:
            runs[-1] = runs[-1]._replace(sequences=runs[-1].sequences + 1)
        elif length:
            runs.append(Run(start, 1, length))
        start += length
    return tuple(runs)


def pack(sequences: Sequence[TokenSequence], device: torch.device) -> Packed:
    """Lay the sequences end to end on the device."""
    lengths = tuple(len(sequence.ids) for sequence in sequences)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    types = np.zeros(int(offsets[-1]), dtype=np.int64)
    for start, end, sequence in zip(offsets[:-1], offsets[1:], sequences, strict=True):
        types[start + sequence.second_segment : end] = 1
    reads = np.concatenate([start + sequence.reads for start, sequence in zip(offsets[:-1], sequences, strict=True)])

    def place(array: NDArray[np.generic], dtype: torch.dtype) -> torch.Tensor:
        return torch.from_numpy(array).to(device=device, dtype=dtype, non_blocking=True)

    return Packed(
        ids=place(np.concatenate([sequence.ids for sequence in sequences]), torch.int64),
        lengths=lengths,
        offsets=place(offsets, torch.int32),
        reads=place(reads, torch.int64),
        types=place(types, torch.int64),
        runs=runs_of(lengths),
    )
