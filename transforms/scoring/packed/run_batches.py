"""Runs token sequences through a model in packed batches, and survives a device that runs out of memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from transforms.scoring.packed.packing import FILLINGS, Packed, pack, plan_batches
from transforms.scoring.packed.ragged import Counts, ranges
from transforms.scoring.packed.sequences import Sequences

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Outputs:
    """What the model and its head gave for N sequences; R reads in all, one sequence's after the other's.

    Attributes:
        rows: one for each read, shape [R, width]; NaN where there is none.
        ends: where each sequence's end, shape [N].
        missing: which sequences have none, since each alone does not fit into memory, shape [N].
    """

    rows: Rows
    ends: Counts
    missing: NDArray[np.bool_]

    def __iter__(self) -> Iterator[Rows | None]:
        """The rows of each sequence, None for one without."""
        starts = [0, *self.ends.tolist()]
        for start, end, missing in zip(starts, self.ends.tolist(), self.missing.tolist(), strict=False):
            yield None if missing else self.rows[start:end]


class Forward(Protocol):
    """The model and its head: packed tokens in, one row for each read out, float32, shape [R, width]."""

    def __call__(self, packed: Packed, /) -> torch.Tensor: ...


def run(
    sequences: Sequences,
    forward: Forward,
    *,
    budget: int,
    device: torch.device,
    counts: Counter[str],
    progress: Callable[[int, int], None] = lambda sequences, tokens: None,
) -> Outputs:
    """Run every sequence once.

    A batch that does not fit into the device's memory is halved, down to one sequence; that one then has no result.

    Args:
        sequences: the model's inputs.
        forward: the model and its head.
        budget: tokens of a batch, at most; one longer sequence still runs alone.
        device: where `forward` runs.
        counts: forward_passes, forward_tokens, padding_tokens (`Packed.padding`) and oom_splits (times that a batch
            did not fit) are added.
        progress: called after each batch with the sequences and tokens in it.
    """
    sizes = sequences.reads.sizes
    ends = np.cumsum(sizes)
    outputs = Outputs(np.full((sizes.sum(), 1), np.nan, dtype=np.float32), ends, np.ones(len(sizes), dtype=np.bool_))
    todo = plan(sequences, budget)[::-1]
    running: Launched | None = None
    while todo or running is not None:
        # A GPU computes this batch while the one before it is fetched and the one after it is packed.
        launched = _launch(todo, sequences, forward, device, counts) if todo else None
        if running is not None:
            batch, rows, ready, padding = running
            if ready is not None:
                ready.synchronize()
            tokens = int(sequences.lengths[batch].sum())
            if rows.shape[1] != outputs.rows.shape[1]:  # the first that there are
                outputs = replace(outputs, rows=np.full((len(outputs.rows), rows.shape[1]), np.nan, dtype=np.float32))
            outputs.rows[ranges((ends - sizes)[batch], sizes[batch])] = rows.numpy()
            outputs.missing[batch] = False
            counts["forward_passes"] += 1
            counts["forward_tokens"] += tokens
            counts["padding_tokens"] += padding
            progress(len(batch), tokens)
        running = launched
    return outputs


def plan(sequences: Sequences, budget: int) -> list[NDArray[np.int64]]:
    """Which sequences share a forward pass: indices, one array a batch; see `packing.plan_batches`."""
    return plan_batches(sequences.lengths, budget, sequences.groups, sequences.prefixes, sequences.parts)


class Launched(NamedTuple):
    """A batch whose rows may still be in the making."""

    batch: NDArray[np.int64]
    rows: torch.Tensor  # on the host
    ready: torch.cuda.Event | None  # from when on the rows are there; None where they are already
    padding: int  # tokens


def _launch(
    todo: list[NDArray[np.int64]],
    sequences: Sequences,
    forward: Forward,
    device: torch.device,
    counts: Counter[str],
) -> Launched | None:
    """Begin the next batch; None where it did not fit into memory, and its halves are the next ones, if it has any."""
    batch = todo.pop()
    try:
        with torch.inference_mode():
            packed = pack(sequences.take(batch), device, FILLINGS[device.type])
            # The copy is asked for here: one that is asked for later would wait for the batch after this one too.
            rows = forward(packed)[: len(packed.reads) - packed.unread].to("cpu", non_blocking=True)
            ready = torch.cuda.current_stream(device).record_event() if device.type == "cuda" else None
            return Launched(batch, rows, ready, packed.padding)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    # Outside of the except block, whose traceback keeps the failed batch's tensors alive.
    counts["oom_splits"] += 1
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if len(batch) > 1:
        middle = len(batch) // 2
        todo += [batch[middle:], batch[:middle]]
    return None


def is_out_of_memory(error: Exception) -> bool:
    """Whether the device or the host had no memory for a batch.

    torch has a type of its own for what its allocators on accelerators lack; its CPU allocator, CUDA itself (pinned
    memory, code that is loaded late), and cuBLAS and cuDNN where they ask for a workspace raise others, known by words.
    """
    words = ("DefaultCPUAllocator", "CUDA error: out of memory", "_ALLOC_FAILED", "_ALLOCATION_FAILED")
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(word in str(error) for word in words)
