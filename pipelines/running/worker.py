"""A worker process of this machine: Beam's, but one that never outlives the job that started it.

    python -m pipelines.running.worker PID

Beam's own, when its job is killed, waits minutes for a process that is gone, with a model in memory; and Ctrl-C, which
a terminal sends to all processes at once, ends it in the middle of a shard, as SIGTERM from a scheduler does.
"""

from __future__ import annotations

import os
import shlex
import sys
import threading
import time

from transforms.base.console import outlive_readers

_SECONDS_BETWEEN_LOOKS = 0.5


def command() -> str:
    """The shell's command that starts a worker of this process.

    The worker takes the shell's place, so that it is a child of this process and killed when that is meant, and hears
    of Ctrl-C and SIGTERM from this process alone, see `pipelines.running.stopping`.
    """
    return f"trap '' INT TERM; exec {shlex.quote(sys.executable)} -m {__name__} {os.getpid()}"


def _end_when_orphaned(parent: int) -> None:
    """Ends this process when its parent has ended."""
    while os.getppid() == parent:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def main() -> None:
    """Does what the job sends until it has no more, or is gone."""
    # Beam prints an error before it reports it to the job, which would wait forever where printing fails.
    outlive_readers()
    threading.Thread(target=_end_when_orphaned, args=(int(sys.argv[1]),), daemon=True).start()
    from apache_beam.runners.worker import sdk_worker_main  # takes seconds, in which the job may be killed already

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
