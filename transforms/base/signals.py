"""The signals that stop a process: Ctrl-C's SIGINT, and SIGTERM, which schedulers send."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM came, which stops a job as Ctrl-C does."""


STOPS: Mapping[int, type[KeyboardInterrupt]] = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}


@contextmanager
def handled_by(handler: Callable[[int, FrameType | None], None], *numbers: int) -> Iterator[None]:
    """While the body runs, these signals go to the handler. In another thread than the main one nothing is changed, as
    Python allows handlers to be set in that one alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def sigterm_stops() -> Iterator[None]:
    """While the body runs, SIGTERM raises Terminated, as Ctrl-C raises KeyboardInterrupt; also a decorator."""

    def terminated(number: int, frame: FrameType | None) -> None:
        raise Terminated

    with handled_by(terminated, signal.SIGTERM):
        yield


def exit_code_of(stop: KeyboardInterrupt) -> int:
    """That of a process which the signal ended, as shells say it."""
    return 128 + (signal.SIGTERM if isinstance(stop, Terminated) else signal.SIGINT)
