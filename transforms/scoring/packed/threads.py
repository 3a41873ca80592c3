"""How many threads of the CPU this process uses: for arithmetic, which is torch's, and to make token ids of texts."""

from __future__ import annotations

import os

import torch

# The tokenizers library reads it as it starts its threads, once in a process:
# https://docs.rs/rayon/latest/rayon/struct.ThreadPoolBuilder.html#method.num_threads
_TOKENISING = "RAYON_NUM_THREADS"
_OF_TORCH = torch.get_num_threads()  # what it takes where nobody chooses: physical cores, or OMP_NUM_THREADS


def use_threads(threads: int) -> None:
    """Compute with so many threads, and make token ids with as many where that is not the number of torch's own choice,
    which leaves out the second thread of a core."""
    torch.set_num_threads(threads)
    if threads != _OF_TORCH:
        os.environ[_TOKENISING] = str(threads)


def tokenising_threads() -> int:
    """Threads that make token ids: as many as the tokenizers library takes, which leaves aside what is no number above
    zero."""
    chosen = os.environ.get(_TOKENISING, "")
    return int(chosen) if chosen.isdecimal() and int(chosen) else _cpus()


def _cpus() -> int:
    """Those that this process may run on, where the system says so."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
