"""How every command ends: one line says what went wrong, and the exit code says it to scripts."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from transforms.base.errors import UnavailableError, UserError, one_line
from transforms.base.signals import exit_code_of, sigterm_stops


class WorkerDiedError(UnavailableError):
    """A worker process of this machine is gone. Beam's threads wait for it still, even when this process is to end."""


def set_up_logging() -> None:
    """Warnings alone, and what workers raise only once: where it is caught."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("apache_beam.runners").setLevel(logging.CRITICAL)


@sigterm_stops()
def run_command(work: Callable[[], int], next_step: str = "") -> int:
    """Do a command's work, and say in a line what went wrong; returns the exit code.

    Args:
        work: returns the exit code.
        next_step: what to do after it was stopped; empty for a command that leaves nothing behind.
    """
    set_up_logging()
    try:
        return work()
    except WorkerDiedError as error:
        print(f"error: {one_line(error)}; {next_step}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(error.exit_code)
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as stop:
        print(f"interrupted{next_step and f': {next_step}'}", file=sys.stderr)
        return exit_code_of(stop)
    except Exception:
        failed = "the job failed" if next_step else "the command failed"
        logging.exception(failed)
        kept = next_step and f"; what is done is kept, {next_step}"
        print(f"error: {failed}, see above{kept}", file=sys.stderr)
        return 1
