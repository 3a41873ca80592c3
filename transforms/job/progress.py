"""How far a job is, as its worker processes report it to the one that started them, on one machine.

Each worker process keeps a small file of its own up to date in a folder that the starting process names; that one adds
them up. It works the same with one process and with many, and a worker that dies leaves a file that is still true. The
same folder carries one message the other way: stop after the shard in hand.
"""

from __future__ import annotations

import functools
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

SECONDS_BETWEEN_WRITES = 0.5
_STOP = "stop"


class Done(NamedTuple):
    """Work done since the job's present run began."""

    pairs: float
    tokens: int


class ProgressWriter:
    """A worker process' account of its own work."""

    def __init__(self, folder: str | None) -> None:
        """Account to a folder; None keeps no account, as on machines that do not share one."""
        self._path = Path(folder, f"{os.getpid()}.json") if folder else None
        self._done = Done(0, 0)
        self._written = 0.0

    def add(self, pairs: float, tokens: int) -> None:
        """Count work; the file is written at most every half second."""
        self._done = Done(self._done.pairs + pairs, self._done.tokens + tokens)
        if self._path is not None and time.monotonic() - self._written > SECONDS_BETWEEN_WRITES:
            self._written = time.monotonic()
            temporary = self._path.with_suffix(".tmp")
            with suppress(OSError):  # a full disk must not stop the job for want of a progress line
                temporary.write_text(json.dumps(self._done))
                temporary.replace(self._path)


@functools.cache
def progress_writer(folder: str | None) -> ProgressWriter:
    """This process' one account in a folder."""
    return ProgressWriter(folder)


def read_progress(folder: str) -> Done:
    """The sum over all worker processes."""
    done = Done(0, 0)
    for path in Path(folder).glob("*.json"):
        with suppress(OSError, ValueError):  # being replaced just now: the next look sees it
            pairs, tokens = json.loads(path.read_text())
            done = Done(done.pairs + pairs, done.tokens + tokens)
    return done


def request_stop(folder: str) -> None:
    """Ask all worker processes to begin no further shard."""
    Path(folder, _STOP).touch()


def stop_requested(folder: str | None) -> bool:
    return folder is not None and Path(folder, _STOP).exists()
