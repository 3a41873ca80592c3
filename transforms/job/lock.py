"""One job at a time on one output directory.

On a local filesystem the kernel holds the lock, and lets go of it the moment that the process dies. Elsewhere it is an
object that says who holds it and that they were alive lately. Filesystems without a compare-and-swap cannot make that
airtight; should two jobs get through at the same moment, they only do the same work twice, because a part file appears
whole or not at all and holds the same bytes whoever wrote it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from transforms.base import files
from transforms.base.errors import UnavailableError, UserError, one_line
from transforms.layout import LOCK_NAMES

SECONDS_BETWEEN_BEATS = 30.0
SECONDS_TO_LIVE = 120.0


@contextmanager
def lock(output: str) -> Iterator[None]:
    """Holds the output directory, which is made if need be, for this job alone.

    Raises:
        UserError: another job holds it, or it cannot be written to.
        UnavailableError: the disk is full.
    """
    with _hold_local(output) if files.is_local(output) else _hold_remote(output):
        yield


@contextmanager
def _hold_local(output: str) -> Iterator[None]:
    path = Path(output) / LOCK_NAMES[0]
    with _open_and_lock(output, path) as stream:
        try:
            _sign(stream, output)
            yield
        finally:
            with suppress(OSError):  # read-only by now, say: the error of the body counts
                path.unlink(missing_ok=True)


def _sign(stream: TextIO, output: str) -> None:
    """Say in the file who holds it; past the stream's buffer, which would be written once more when it is closed."""
    try:
        os.ftruncate(stream.fileno(), 0)
        os.write(stream.fileno(), json.dumps(_myself()).encode())
    except OSError as error:  # the disk is full, say
        raise UnavailableError(
            f"output {output} cannot be written to: {one_line(error)}; make room, and give the same command"
        ) from error


def _open_and_lock(output: str, path: Path) -> TextIO:
    while True:
        try:
            files.make_directory(output)
            stream = open(path, "a+", encoding="utf-8", opener=_open_no_link)  # noqa: SIM115
        except OSError as error:
            raise not_writable(output, error) from error
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with stream:
                stream.seek(0)
                raise _in_use(output, stream.read()) from None
        except OSError as error:
            stream.close()
            raise UserError(
                f"output {output}: its filesystem knows no locks ({one_line(error)}); give another"
            ) from error
        if path.exists() and os.path.samestat(path.stat(), os.fstat(stream.fileno())):
            return stream
        stream.close()  # its holder removed the file between our opening and our locking it


def _open_no_link(path: str, flags: int) -> int:
    """A file to lock, which is written to; not one elsewhere to which a link of its name leads."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


@contextmanager
def _hold_remote(output: str) -> Iterator[None]:
    path = files.join(output, LOCK_NAMES[1])
    lease = _read_lease(path)
    if lease is not None and time.time() - lease["alive"] < SECONDS_TO_LIVE:
        raise _in_use(output, json.dumps(lease), f"or until {SECONDS_TO_LIVE:.0f} seconds after it died")
    mine = _myself() | {"token": uuid.uuid4().hex}
    try:
        files.make_directory(output)
        _write_lease(path, mine)
    except Exception as error:  # each kind of filesystem has its own errors
        raise not_writable(output, error) from error
    lease = _read_lease(path)
    if lease is None or lease["token"] != mine["token"]:
        raise _in_use(output, json.dumps(lease))
    stop = threading.Event()
    beats = threading.Thread(target=_keep_alive, args=(path, mine, stop), daemon=True)
    beats.start()
    try:
        yield
    finally:
        stop.set()
        beats.join()
        with suppress(Exception):  # each kind of filesystem has its own errors; what is left behind ends by itself
            if _is_mine(path, mine):
                files.delete([path])


def _keep_alive(path: str, mine: dict[str, Any], stop: threading.Event) -> None:
    while not stop.wait(SECONDS_BETWEEN_BEATS):
        try:
            if not _is_mine(path, mine):
                logging.getLogger(__name__).warning("another job has taken %s over", path)
                return
            _write_lease(path, mine)
        except Exception as error:  # the next beat may get through
            logging.getLogger(__name__).warning("%s was not refreshed: %s", path, one_line(error))


def _is_mine(path: str, mine: dict[str, Any]) -> bool:
    lease = _read_lease(path)
    return lease is not None and lease["token"] == mine["token"]


def _read_lease(path: str) -> dict[str, Any] | None:
    if not files.exists(path):
        return None
    lease: dict[str, Any] = json.loads(files.read_text(path))
    return lease


def _write_lease(path: str, lease: dict[str, Any]) -> None:
    files.write_text_atomically(path, json.dumps(lease | {"alive": time.time()}))


def _myself() -> dict[str, Any]:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "process": os.getpid(), "since": since}


def _in_use(output: str, holder: str, until: str = "") -> UserError:
    try:
        owner = json.loads(holder)
        who = f"host {owner['host']}, process {owner['process']}, since {owner['since']}"
    except (ValueError, KeyError, TypeError):  # it has not said yet
        who = "just started"
    wait = " ".join(filter(None, ["wait for it", until]))
    return UserError(f"output {output} is in use by another job ({who}); {wait}, or give another --output")


def not_writable(output: str, error: Exception) -> UserError:
    """That nothing can be written to a job's directory."""
    return UserError(f"output {output} cannot be written to: {one_line(error)}; give another --output")
