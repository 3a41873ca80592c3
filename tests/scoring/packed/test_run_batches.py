from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from transforms.scoring.packed import run_batches
from transforms.scoring.packed.packing import Packed, pack
from transforms.scoring.packed.run_batches import Forward, Outputs, is_out_of_memory, run
from transforms.scoring.packed.sequences import Sequences, TokenSequence, sequences_of

CPU = torch.device("cpu")


def sequences(*lengths: int) -> Sequences:
    """Sequence i is its own number repeated, read at its first and last token."""
    return sequences_of(
        [
            TokenSequence(np.full(length, i, dtype=np.int32), np.array([0, length - 1], dtype=np.int32), length)
            for i, length in enumerate(lengths)
        ]
    )


class Echo:
    """A model that answers each read with its token id, and records the batches that it was given."""

    def __init__(self, memory: int = 10**9, error: Exception | None = None) -> None:
        self.batches: list[tuple[int, ...]] = []
        self._memory = memory
        self._error = error or torch.OutOfMemoryError("CUDA out of memory")

    def __call__(self, packed: Packed, /) -> torch.Tensor:
        self.batches.append(packed.lengths[: len(packed.lengths) - packed.padding])
        if len(packed.ids) - packed.padding > self._memory:
            raise self._error
        return packed.ids[packed.reads].float()[:, None]


def values(outputs: Outputs) -> list[list[float] | None]:
    assert np.isnan(outputs.rows[:, 0]).tolist() == np.repeat(outputs.missing, 2).tolist()
    return [None if rows is None else rows[:, 0].tolist() for rows in outputs]


def engine(lengths: tuple[int, ...], forward: Forward, budget: int) -> tuple[list[list[float] | None], Counter[str]]:
    counts: Counter[str] = Counter()
    return values(run(sequences(*lengths), forward, budget=budget, device=CPU, counts=counts)), counts


def test_each_sequence_gets_its_own_rows() -> None:
    model = Echo()
    rows, counts = engine((2, 5, 3, 5), model, 8)
    assert rows == [[0, 0], [1, 1], [2, 2], [3, 3]]
    assert model.batches == [(5,), (5, 3), (2,)]
    assert counts == {"forward_passes": 3, "forward_tokens": 15, "padding_tokens": 3 * 64 - 15}


def test_no_sequences_need_no_pass() -> None:
    model = Echo()
    assert engine((), model, 8) == ([], Counter())
    assert model.batches == []


def test_progress_reports_sequences_and_tokens_of_each_pass() -> None:
    seen: list[tuple[int, int]] = []
    run(
        sequences(2, 5, 3, 5),
        Echo(),
        budget=8,
        device=CPU,
        counts=Counter(),
        progress=lambda sequences, tokens: seen.append((sequences, tokens)),
    )
    assert seen == [(1, 5), (2, 8), (1, 2)]


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    model = Echo(memory=8)
    rows, counts = engine((4, 4, 4, 4, 4), model, 20)
    assert rows == [[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]]
    assert model.batches == [(4, 4, 4, 4, 4), (4, 4), (4, 4, 4), (4,), (4, 4)]
    assert counts == {"forward_passes": 3, "forward_tokens": 20, "padding_tokens": 3 * 64 - 20, "oom_splits": 2}


def test_a_sequence_that_does_not_fit_alone_has_no_rows_and_the_others_have_theirs() -> None:
    rows, counts = engine((3, 9, 3, 3), Echo(memory=6), 100)
    assert rows == [[0, 0], None, [2, 2], [3, 3]]
    assert counts == {"forward_passes": 2, "forward_tokens": 9, "padding_tokens": 2 * 64 - 9, "oom_splits": 3}


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: not enough memory: you tried to ..."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        torch.AcceleratorError("CUDA error: out of memory"),
    ],
)
def test_every_lack_of_memory_is_survived(error: Exception) -> None:
    rows, counts = engine((2, 2), Echo(memory=2, error=error), 4)
    assert rows == [[0, 0], [1, 1]]
    assert counts["oom_splits"] == 1


def test_a_gpu_is_given_the_next_batch_before_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only for the batch whose rows are wanted, where events tell the end of each."""
    done: list[str] = []

    class Event:
        def __init__(self, number: int) -> None:
            self.number = number

        def synchronize(self) -> None:
            done.append(f"wait for {self.number}")

    class Stream:
        def record_event(self) -> Event:
            return Event(sum(entry.startswith("give") for entry in done) - 1)

    def forward(packed: Packed, /) -> torch.Tensor:
        done.append(f"give {packed.lengths[0]} of {len(packed.ids)} and {len(packed.reads)} reads")
        return packed.ids[packed.reads].float()[:, None]

    monkeypatch.setattr(run_batches, "pack", lambda batch, device, filling: pack(batch, CPU, filling))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    result = run(sequences(3, 4, 5), forward, budget=5, device=torch.device("cuda:1"), counts=Counter())
    assert values(result) == [[0, 0], [1, 1], [2, 2]]
    give = [f"give {tokens} of 1024 and 1024 reads" for tokens in (5, 4, 3)]
    assert done == [give[0], give[1], "wait for 0", give[2], "wait for 1", "wait for 2"]


def test_the_cpu_allocator_lacks_memory_in_the_way_that_is_recognised() -> None:
    with pytest.raises(RuntimeError) as refused:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(refused.value)


@pytest.mark.parametrize("error", [RuntimeError("shapes cannot be multiplied"), ValueError("no"), KeyError("a")])
def test_other_errors_are_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        engine((2, 2), Echo(memory=2, error=error), 4)
