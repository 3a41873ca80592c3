"""Token sequences laid end to end, none padded to the length of another: which go together, and where each lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

Ids = NDArray[np.int32]


class Prefix(NamedTuple):
    """The first tokens of several sequences, the same in all of them.

    In a causal model their hidden states are the same too, so that they need be computed only once.
    """

    group: int  # a number of the sequences that have it
    tokens: int


NO_PREFIX = Prefix(-1, 0)
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


class TokenSequence(NamedTuple):
    """One input of the model.

    Attributes:
        ids: token ids, shape [tokens].
        reads: the places in `ids` whose hidden states the head reads, ascending, none in the prefix, shape [reads].
        second_segment: place of the first token of type 1 (BERT's second segment); len(ids) where there is none.
        prefix: what it shares with other sequences.
        part: number of the model that reads it, in a family with several.
    """

    ids: Ids
    reads: Ids
    second_segment: int
    prefix: Prefix = NO_PREFIX
    part: int = 0


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
        ids: int64, shape [T].
        lengths: tokens of each sequence, N entries.
        offsets: int32, shape [N + 1]; sequence i is offsets[i]:offsets[i + 1] (the `cu_seqlens` of variable-length
            attention kernels).
        reads: int64, shape [R], places in 0..T-1; each sequence's together, in order.
        types: int64, shape [T]: 0 before a sequence's second segment, 1 from there on.
        runs: the same lengths as rectangles.
        parts: int64, shape [N - padding]: each sequence's part.
        shared: how the T tokens make up the E; None where no prefix is shared.
        padding: how many of the tokens, and of the sequences, are there to fill up the batch.
        unread: how many of the reads are.
    """

    ids: torch.Tensor
    lengths: tuple[int, ...]
    offsets: torch.Tensor
    reads: torch.Tensor
    types: torch.Tensor
    runs: tuple[Run, ...]
    parts: torch.Tensor
    shared: Shared | None = None
    padding: int = 0
    unread: int = 0

    def places(self) -> torch.Tensor:
        """Place of each token in its own sequence, from 0: int64, shape [T]."""
        lengths = self.offsets.diff()
        starts = self.offsets[:-1].repeat_interleave(lengths, output_size=sum(self.lengths))
        places = torch.arange(len(starts), device=self.ids.device) - starts
        return places if self.shared is None else places[self.shared.kept]


def plan_batches(
    lengths: Sequence[int] | NDArray[np.int64], budget: int, prefixes: Sequence[Prefix] | None = None
) -> list[NDArray[np.int64]]:
    """Which sequences share a forward pass.

    Sequences with a common prefix stand together. Else longest first, so that the largest batch in memory comes first
    and neighbours have equal lengths; sequences of one length keep their order. A batch is closed when the next
    sequence would take it over the budget; a sequence longer than the budget is a batch alone.

    Args:
        lengths: tokens of each sequence.
        budget: tokens of a batch, at most; a common prefix counts once. Counted in each sequence, there are at most
            ATTENDED times as many, since attention lays them all out.
        prefixes: of each sequence; None where no two have a common one.

    Returns:
        Indices into `lengths`, each once; one array a batch.
    """
    prefixes = [NO_PREFIX] * len(lengths) if prefixes is None else prefixes
    groups = np.array([prefix.group for prefix in prefixes], dtype=np.int64)
    order = np.lexsort((-np.asarray(lengths, dtype=np.int64), groups))
    batches: list[NDArray[np.int64]] = []
    start = total = attended = 0
    for place, index in enumerate(order):
        length = int(lengths[index])
        known = prefixes[index].tokens if place > start and prefixes[index] == prefixes[order[place - 1]] else 0
        if place > start and (total + length - known > budget or attended + length > ATTENDED * budget):
            batches.append(order[start:place])
            start, total, attended, known = place, 0, 0, 0
        total += length - known
        attended += length
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


def pack(sequences: Sequence[TokenSequence], device: torch.device, filling: Filling = UNFILLED) -> Packed:
    """Lay the sequences end to end on the device, and fill them up."""
    lengths = tuple(len(sequence.ids) for sequence in sequences)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.concatenate([sequence.ids for sequence in sequences])
    types = np.zeros(len(ids), dtype=np.int64)
    for start, end, sequence in zip(offsets[:-1], offsets[1:], sequences, strict=True):
        types[start + sequence.second_segment : end] = 1
    reads = np.concatenate([start + sequence.reads for start, sequence in zip(offsets[:-1], sequences, strict=True)])

    def place(array: NDArray[np.generic], dtype: torch.dtype) -> torch.Tensor:
        tensor = torch.from_numpy(array).to(dtype)
        # Only from pinned memory does a copy overlap with what the device computes.
        return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)

    kept, sources = common_prefixes(sequences, offsets)
    shared = None
    if len(kept) < len(ids):
        ids, types, reads = ids[kept], types[kept], sources[reads]
        shared = Shared(place(kept, torch.int64), place(sources, torch.int64))
    packed = Packed(
        ids=place(ids, torch.int64),
        lengths=lengths,
        offsets=place(offsets, torch.int32),
        reads=place(reads, torch.int64),
        types=place(types, torch.int64),
        runs=runs_of(lengths),
        parts=place(np.array([sequence.part for sequence in sequences], dtype=np.int64), torch.int64),
        shared=shared,
    )
    return filled(packed, filling)


def filled(packed: Packed, filling: Filling) -> Packed:
    """A batch that is not filled up yet, filled up."""
    extra, unread = (_missing(len(there), filling) for there in (packed.ids, packed.reads))
    if not extra and not unread:
        return packed
    end = sum(packed.lengths)
    more = torch.arange(extra, device=packed.ids.device)
    shared = None
    if packed.shared is not None:
        kept, sources = packed.shared
        shared = Shared(torch.cat([kept, end + more]), torch.cat([sources, len(packed.ids) + more]))
    return replace(
        packed,
        ids=pad(packed.ids, (0, extra)),
        lengths=(*packed.lengths, *[1] * extra),
        offsets=torch.cat([packed.offsets, (end + 1 + more).int()]),
        reads=pad(packed.reads, (0, unread)),
        types=pad(packed.types, (0, extra)),
        runs=(*packed.runs, Run(end, extra, 1)) if extra else packed.runs,
        shared=shared,
        padding=extra,
        unread=unread,
    )


def _missing(there: int, filling: Filling) -> int:
    wanted = max(there, filling.least)
    return wanted + -wanted % filling.multiple - there


def common_prefixes(
    sequences: Sequence[TokenSequence], offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What need be computed where neighbouring sequences have a common prefix: the first one's stands for all.

    Args:
        sequences: N of them.
        offsets: where each begins when they are laid end to end, and the end, shape [N + 1].

    Returns:
        The places that are kept; and for each place the number of the one among them that has its token.
    """
    kept = np.ones(offsets[-1], dtype=bool)
    sources = np.arange(offsets[-1])
    first = 0
    for number, sequence in enumerate(sequences):
        if number == 0 or sequence.prefix != sequences[number - 1].prefix:
            first = number
        elif sequence.prefix.tokens:
            mine = slice(offsets[number], offsets[number] + sequence.prefix.tokens)
            kept[mine] = False
            sources[mine] = np.arange(offsets[first], offsets[first] + sequence.prefix.tokens)
    return np.flatnonzero(kept), (np.cumsum(kept) - 1)[sources]
