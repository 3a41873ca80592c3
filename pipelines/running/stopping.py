"""How a job is stopped without losing a shard: by Ctrl-C, and by SIGTERM, which schedulers send."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from transforms.base.signals import STOPS, handled_by
from transforms.base.temporary import remove_all, temporary_folder
from transforms.job.progress import request_stop


@contextmanager
def stop_on_interrupt(local: bool) -> Iterator[str | None]:
    """While the body runs, a first Ctrl-C or SIGTERM asks the workers to finish the shard in hand, and a second quits
    at once. In another thread than the main one, which alone hears of signals, nothing is changed.

    Yields:
        The folder through which workers on this machine account for progress and are stopped, see
        `transforms.job.progress`; None where they are elsewhere.

    Raises:
        KeyboardInterrupt: after the body, where the workers were stopped; Terminated if SIGTERM did it.
    """
    if not local:
        yield None
        return
    stop: type[KeyboardInterrupt] | None = None
    with temporary_folder() as folder:

        def interrupted(number: int, frame: FrameType | None) -> None:
            nonlocal stop
            if stop is not None:
                remove_all()
                os._exit(128 + number)
            stop = STOPS[number]
            request_stop(folder)
            print("\ninterrupted: finishing the shard in hand; once more to quit at once", file=sys.stderr)

        with handled_by(interrupted, *STOPS):
            yield folder
    if stop is not None:
        raise stop
