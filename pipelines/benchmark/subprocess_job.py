"""Runs work in a process of its own, so that its memory ends with it and its death does not end ours."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from types import FrameType
from typing import Any

from transforms.base.command import WorkerDiedError, set_up_logging
from transforms.base.console import outlive_readers
from transforms.base.errors import UserError, one_line
from transforms.base.signals import STOPS, handled_by, sigterm_stops
from transforms.base.temporary import remove_all

# The server's socket is a file in a folder of the temporary one; a socket's name has 104 bytes at most on macOS and 108
# on Linux, see unix(4) and unix(7), with the zero that ends it.
_SOCKET_NAME = len("/pymp-12345678/listener-12345678")
_LONGEST_SOCKET_NAME = 103


def _context() -> ForkServerContext | SpawnContext:
    """Processes are forked from a server that has imported all that is large, and has neither threads nor a device in
    use; where such a server cannot have a socket, each imports for itself, which takes some seconds.
    """
    if len(os.fsencode(tempfile.gettempdir())) + _SOCKET_NAME > _LONGEST_SOCKET_NAME:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pipelines.rerank.job"])
    return context


class ApartError(Exception):
    """Work that failed; the message is one line."""


def run_apart(work: Callable[..., int], *arguments: Any) -> int:
    """What `work(*arguments)` returns, from another process.

    A Ctrl-C or SIGTERM that comes meanwhile is passed on to that process, which also ends when this one does, however
    it ends.

    Raises:
        UserError: the work raised it.
        ApartError: the work raised something else, which is reported on stderr in full, or its process died.
        KeyboardInterrupt: it was interrupted.
    """
    context = _context()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_do, args=(theirs, work, arguments))

    stop: int | None = None

    def pass_on(number: int, frame: FrameType | None) -> None:
        nonlocal stop
        stop = number
        if process.pid is not None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(process.pid, number)

    with handled_by(pass_on, *STOPS):
        process.start()
        theirs.close()
        if stop is not None:  # before there was a process to pass it on to
            pass_on(stop, None)
        try:
            kind, answer = ours.recv()
        except EOFError:
            kind, answer = "dead", 0
        process.join()
    # One that is interrupted while it starts dies of it in its own ways.
    if stop is not None:
        raise STOPS[stop]
    if kind == "interrupted" or process.exitcode == 130:
        raise KeyboardInterrupt
    if kind == "user error":
        raise UserError(answer)
    if kind != "done":
        raise ApartError(_death(process.exitcode) if kind == "dead" else answer)
    return int(answer)


@sigterm_stops()
def _do(connection: Connection, work: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    """The body of the other process."""
    os.setpgid(0, 0)  # so that Ctrl-C on the terminal reaches it once, through us
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    outlive_readers()
    set_up_logging()
    try:
        connection.send(("done", work(*arguments)))
    except UserError as error:
        connection.send(("user error", str(error)))
        if isinstance(error, WorkerDiedError):
            sys.stdout.flush()
            os._exit(error.exit_code)  # threads that wait for the dead one would hold this process forever
    except KeyboardInterrupt:
        connection.send(("interrupted", ""))
    except Exception as error:
        logging.exception("failed")
        connection.send(("failed", one_line(error)))


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    remove_all()
    os._exit(1)


def _death(exit_code: int | None) -> str:
    if exit_code == -signal.SIGKILL:
        return "its process was killed, as systems do to one that takes too much memory"
    return f"its process ended with exit code {exit_code}"
