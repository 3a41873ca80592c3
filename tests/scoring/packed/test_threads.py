from __future__ import annotations

import os
import subprocess
import sys

import pytest

from transforms.scoring.packed.threads import tokenising_threads

# Threads that the tokenizers library starts, and the number that Qwen's byte pairs take, in a process of its own.
PROGRAM = """
import os, sys
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transforms.scoring.packed.threads import tokenising_threads
from transforms.scoring.packed.execution import resolve

resolve("cpu", "float32", threads=int(sys.argv[1]) or None).begin()
before = len(os.listdir("/proc/self/task"))
Tokenizer(WordLevel({"a": 0}, "a")).encode_batch(["a"] * 100)
print(torch.get_num_threads(), len(os.listdir("/proc/self/task")) - before, tokenising_threads())
"""


def numbers(chosen: int, **variables: str) -> list[int]:
    """Threads of arithmetic, of the tokenizers library and of byte pairs, where --threads has a value (0: none)."""
    command = [sys.executable, "-c", PROGRAM, str(chosen)]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=True)
    return [int(number) for number in done.stdout.split()]


def test_arithmetic_and_tokenising_take_the_threads_that_are_asked_for() -> None:
    assert numbers(3, OMP_NUM_THREADS="1") == [3, 3, 3]
    assert numbers(3, OMP_NUM_THREADS="1", RAYON_NUM_THREADS="5") == [3, 3, 3]


def test_where_nobody_asks_each_library_chooses() -> None:
    assert numbers(0, OMP_NUM_THREADS="1", RAYON_NUM_THREADS="5") == [1, 5, 5]


@pytest.mark.parametrize(("variable", "expected"), [("4", 4), ("abc", 7), ("0", 7), ("-1", 7), ("", 7)])
def test_a_variable_that_is_no_number_of_threads_is_left_aside(
    variable: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYON_NUM_THREADS", variable)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(7)))
    assert tokenising_threads() == expected


def test_a_system_without_affinities_has_its_number_of_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAYON_NUM_THREADS", raising=False)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert tokenising_threads() == 6
