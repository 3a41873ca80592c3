"""Token sequences laid end to end, none padded to the length of another: which go together, and where each lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from transforms.scoring.packed.ragged import Counts
from transforms.scoring.packed.sequences import Sequences

ATTENDED = 4  # times the budget


class Filling(NamedTuple):
    """What a batch is filled up to: so many tokens and reads at least, and a multiple of so many."""

    least: int
    multiple: int


# Products of few rows are summed in another order than those of many, so that a score would depend on what else is in
# its batch. cuBLAS gives each row the same bits from 512 rows on, tried on an H200 with torch 2.11 in bfloat16; oneDNN
# and MKL do from 16 on. The multiple is for oneDNN, which makes code for its products for each number of rows, a tenth
# of a small model's pass; it keeps what it used last, see `execution.KEPT_BY_ONEDNN`.
FILLINGS: Mapping[str, Filling] = {"cpu": Filling(64, 64), "cuda": Filling(1024, 1)}  # by type of device
UNFILLED = Filling(0, 1)


class Run(NamedTuple):
    """Neighbouring sequences of one length, so that they can be viewed as a rectangle without copying."""

    start: int  # place of the first token
    sequences: int
    length: int  # tokens in each


class Shared(NamedTuple):
    """Which tokens of sequences with common prefixes are computed. T tokens are, of E in all sequences."""

    kept: torch.Tensor  # the places of those that are, int64, shape [T]
    sources: torch.Tensor  # for each place, which of the tokens that are computed stands there, int64, shape [E]


@dataclass(frozen=True)
class Packed:
    """Sequences laid end to end. T tokens, N sequences, R reads.

    Where sequences share a prefix, T counts it once, while `lengths`, `offsets` and `runs`, which are for attention,
    count it in each sequence: E tokens together. Else T and E are the same.

    What a batch is filled up with stands at the end: sequences of one token, and reads of the first token.

    Attributes:
        ids: int32, shape [T].
        lengths: tokens of each sequence, N entries.
        offsets: int32, shape [N + 1]; sequence i is offsets[i]:offsets[i + 1] (the `cu_seqlens` of variable-length
            attention kernels).
        reads: int64, shape [R], places in 0..T-1; each sequence's together, in order.
        second_segments: int64, shape [N]: place in each sequence of its first token of type 1.
        part: of all sequences.
        left_out: int64, shape [N]: first tokens of each sequence that are not computed, since they are those of the
            sequence before it; None where no prefix is shared.
        padding: how many of the tokens, and of the sequences, are there to fill up the batch.
        unread: how many of the reads are.
    """

    ids: torch.Tensor
    lengths: tuple[int, ...]
    offsets: torch.Tensor
    reads: torch.Tensor
    second_segments: torch.Tensor
    part: int
    left_out: torch.Tensor | None = None
    padding: int = 0
    unread: int = 0

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The lengths as rectangles, apart those that fill up the batch; only some kernels need them."""
        runs = runs_of(self.lengths[: len(self.lengths) - self.padding])
        return (*runs, Run(sum(self.lengths) - self.padding, self.padding, 1)) if self.padding else runs

    # What is one number a token is made on the device, from one a sequence.
    @cached_property
    def shared(self) -> Shared | None:
        """How the T tokens make up the E; None where no prefix is shared."""
        if self.left_out is None:
            return None
        left_out, lengths, starts = self.left_out, self.offsets.diff(), self.offsets[:-1]
        own = lengths - left_out
        begins = own.cumsum(0) - own
        first = torch.where(left_out > 0, 0, torch.arange(len(own), device=own.device)).cummax(0).values
        sources = torch.stack([begins[first], begins], 1).flatten()
        parts = torch.stack([left_out, own], 1).flatten()
        kept = _ranges(starts + left_out, own, len(self.ids))
        return Shared(kept, _ranges(sources, parts, sum(self.lengths)))

    @cached_property
    def types(self) -> torch.Tensor:
        """0 before a sequence's second segment, 1 from there on: int64, shape [T]."""
        seconds = self.second_segments.repeat_interleave(self.offsets.diff(), output_size=sum(self.lengths))
        return (self.places() >= (seconds if self.shared is None else seconds[self.shared.kept])).long()

    def places(self) -> torch.Tensor:
        """Place of each token in its own sequence, from 0: int64, shape [T]."""
        places = _ranges(torch.zeros_like(self.offsets[1:]), self.offsets.diff(), sum(self.lengths))
        return places if self.shared is None else places[self.shared.kept]


def _ranges(starts: torch.Tensor, lengths: torch.Tensor, total: int) -> torch.Tensor:
    """`ragged.ranges` on the device, int64; to know the sum of the lengths saves waiting for it."""
    shifts = starts - lengths.cumsum(0) + lengths
    return shifts.repeat_interleave(lengths, output_size=total) + torch.arange(total, device=starts.device)


def plan_batches(lengths: Counts, budget: int, groups: Counts, prefixes: Counts, parts: Counts) -> list[Counts]:
    """Which sequences share a forward pass: none of different parts.

    Sequences with a common prefix stand together. Else longest first, so that the largest batch in memory comes first
    and neighbours have equal lengths; sequences of one length keep their order. A batch is closed when the next
    sequence would take it over the budget; a sequence longer than the budget is a batch alone.

    Args:
        lengths: tokens of each sequence, shape [N].
        budget: tokens of a batch, at most; a common prefix counts once. Counted in each sequence, there are at most
            ATTENDED times as many, since attention lays them all out.
        groups: a number of the sequences that have a prefix in common, shape [N].
        prefixes: its tokens, shape [N]; 0 for none.
        parts: of the sequences, shape [N].

    Returns:
        Indices into `lengths`, each once; one array a batch.
    """
    order = np.lexsort((-lengths, groups, parts))
    in_order = parts[order]
    taken = lengths[order]
    attended = np.cumsum(taken)
    total = np.cumsum(taken - repeated(groups[order], prefixes[order]))
    batches: list[Counts] = []
    start = 0
    while start < len(order):
        # The first of a batch counts in full.
        within = np.searchsorted(total, total[start] - taken[start] + budget, "right")
        laid_out = np.searchsorted(attended, attended[start] - taken[start] + ATTENDED * budget, "right")
        of_part = np.searchsorted(in_order, in_order[start], "right")
        end = max(start + 1, int(min(within, laid_out, of_part)))
        batches.append(order[start:end])
        start = end
    return batches


def repeated(groups: Counts, prefixes: Counts) -> Counts:
    """Tokens of each sequence's prefix that need not be computed, since the one before it has them; shape [N].

    Args:
        groups: a number of the sequences that have a prefix in common, shape [N].
        prefixes: its tokens, shape [N].
    """
    tokens = np.zeros_like(prefixes)
    tokens[1:] = np.where((groups[1:] == groups[:-1]) & (prefixes[1:] == prefixes[:-1]), prefixes[1:], 0)
    return tokens


def runs_of(lengths: Sequence[int]) -> tuple[Run, ...]:
    """Group neighbours of equal length; empty sequences give no run."""
    whole = np.asarray(lengths, dtype=np.int64)
    whole = whole[whole > 0]
    first = np.flatnonzero(np.diff(whole, prepend=0))
    starts, counts = (np.cumsum(whole) - whole)[first], np.diff(first, append=len(whole))
    return tuple(map(Run, starts.tolist(), counts.tolist(), whole[first].tolist()))


def pack(sequences: Sequences, device: torch.device, filling: Filling = UNFILLED) -> Packed:
    """Lay sequences of one part end to end on the device, and fill them up."""
    lengths = sequences.lengths
    left_out = repeated(sequences.groups, sequences.prefixes)
    shares = bool(left_out.any())
    ids = sequences.ids.without(left_out).flat() if shares else sequences.ids.flat()
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    begins = np.cumsum(lengths - left_out) - lengths
    reads = sequences.reads.flat() + np.repeat(begins, sequences.reads.sizes)

    def place(array: NDArray[np.generic], dtype: torch.dtype) -> torch.Tensor:
        tensor = torch.from_numpy(array).to(dtype)
        # Only from pinned memory does a copy overlap with what the device computes.
        return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)

    packed = Packed(
        ids=place(ids, torch.int32),
        lengths=tuple(lengths.tolist()),
        offsets=place(offsets, torch.int32),
        reads=place(reads, torch.int64),
        second_segments=place(sequences.second_segments, torch.int64),
        part=int(sequences.parts.max(initial=0)),
        left_out=place(left_out, torch.int64) if shares else None,
    )
    return filled(packed, filling)


def filled(packed: Packed, filling: Filling) -> Packed:
    """A batch that is not filled up yet, filled up."""
    extra, unread = (_missing(len(part), filling) for part in (packed.ids, packed.reads))
    if not extra and not unread:
        return packed
    more = sum(packed.lengths) + 1 + torch.arange(extra, device=packed.ids.device)
    return replace(
        packed,
        ids=pad(packed.ids, (0, extra)),
        lengths=(*packed.lengths, *[1] * extra),
        offsets=torch.cat([packed.offsets, more.int()]),
        reads=pad(packed.reads, (0, unread)),
        second_segments=pad(packed.second_segments, (0, extra), value=1),
        left_out=None if packed.left_out is None else pad(packed.left_out, (0, extra)),
        padding=extra,
        unread=unread,
    )


def _missing(present: int, filling: Filling) -> int:
    wanted = max(present, filling.least)
    return wanted + -wanted % filling.multiple - present
