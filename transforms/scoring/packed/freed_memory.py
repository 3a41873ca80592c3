"""What the C library does with memory that arrays have freed."""

from __future__ import annotations

import ctypes
import sys

# Parameters of mallopt in glibc's malloc.h, and bytes: an array of 32 MiB (the most that it takes) is given back to the
# system when it is freed; of smaller ones up to 64 MiB stay with their thread.
_KEPT = {-3: 32 << 20, -1: 64 << 20}  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD


def keep() -> None:
    """Let arrays have the pages of those before them: to get one from the system takes longer than to fill it.

    How much glibc keeps otherwise depends on what has been freed so far. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, size in _KEPT.items():
            mallopt(parameter, size)
