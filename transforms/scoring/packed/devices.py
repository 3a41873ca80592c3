"""Which CUDA device a process takes on a machine with several: the one that fewest processes have taken before it."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Sequence
from functools import cache
from itertools import count
from pathlib import Path

import torch

_held: list[int] = []  # file descriptors, until the process ends, however it ends


def own(device: str) -> str:
    """The device that this process uses where the options name this one: of several, "cuda" means one of its own."""
    return f"cuda:{_own_cuda()}" if device == "cuda" and torch.cuda.device_count() > 1 else device


@cache
def _own_cuda() -> int:
    numbers = range(torch.cuda.device_count())
    return claim([str(torch.cuda.get_device_properties(number).uuid) for number in numbers])


def claim(names: Sequence[str], folder: Path | None = None) -> int:
    """The number of a device that this process now holds, until it ends.

    Args:
        names: of the devices, the same for each in all processes of this machine.
        folder: where processes record what they hold; None for one of this user's in the temporary directory.

    Returns:
        The first device that no living process holds; if all are held, the first that is held once, and so on.
    """
    folder = folder or Path(tempfile.gettempdir(), f"rerank-devices-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    for holders in count():
        for number, name in enumerate(names):
            descriptor = os.open(folder / f"{name}-{holders}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                _held.append(descriptor)
                return number
    raise AssertionError("counting does not end")
