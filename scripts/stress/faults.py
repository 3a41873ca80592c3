"""The faults that chaos.py strikes jobs with; imports little, since a job imports it before its signals are handled."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Callable
from typing import NamedTuple


class Struck(NamedTuple):
    """What a fault did: the exit codes that may follow, how long the job may run first, and what is set up in it."""

    codes: frozenset[int]
    signals: tuple[int, ...] = ()
    prepare: Callable[[], None] = lambda: None


def full_disk() -> None:
    """In the job: no file may grow beyond a few bytes, which the system reports as it does a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))


def clock_jumps(days: int) -> Callable[[], None]:
    """In the job: the clock is wrong by so many days."""
    now = time.time

    def prepare() -> None:
        time.time = lambda: now() + days * 86_400

    return prepare


NONE = "none"
# Fault -> what it does to the job while that runs.
FAULTS: dict[str, Struck] = {
    NONE: Struck(frozenset()),
    "KILL": Struck(frozenset({-signal.SIGKILL}), (signal.SIGKILL,)),
    "TERM": Struck(frozenset({143, -signal.SIGTERM}), (signal.SIGTERM,)),
    "TERM twice": Struck(frozenset({143, -signal.SIGTERM}), (signal.SIGTERM, signal.SIGTERM)),
    "INT": Struck(frozenset({130, -signal.SIGINT}), (signal.SIGINT,)),
    "STOP and CONT": Struck(frozenset(), (signal.SIGSTOP, signal.SIGCONT)),
    "full disk": Struck(frozenset({1, 2}), prepare=full_disk),
    "clock a year ahead": Struck(frozenset(), prepare=clock_jumps(365)),
    "clock a year behind": Struck(frozenset(), prepare=clock_jumps(-365)),
    "damaged part": Struck(frozenset()),
    "part cut short": Struck(frozenset()),
    "removed part": Struck(frozenset()),
    "removed input": Struck(frozenset({2})),
}
