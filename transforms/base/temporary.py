"""Temporary folders of a process, which outlive it only until the next one begins.

The kernel holds a lock on a file in each as long as its process lives, so that those of dead ones are known without
asking whose number a process has by now.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from transforms.base.errors import UserError, one_line

_PREFIX = "offline-rerank-"
_LOCK = "process.lock"
_held: set[str] = set()


@contextmanager
def temporary_folder() -> Iterator[str]:
    """A folder on this machine's disk that goes with the context, and those of dead processes with it.

    Raises:
        UserError: there is no place for it.
    """
    try:
        _remove_of_dead()
        folder = tempfile.mkdtemp(prefix=_PREFIX)
    except OSError as error:
        raise UserError(f"no folder for temporary files can be made ({one_line(error)}); set TMPDIR to one") from error
    _held.add(folder)
    try:
        with open(Path(folder) / "unlocked", "wb") as lock:
            with suppress(OSError):  # its filesystem knows no locks, so that nobody takes it for a dead one's
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.rename(lock.name, Path(folder) / _LOCK)  # only now do others look at it
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _held.discard(folder)


def remove_all() -> None:
    """Remove this process' folders, for one that ends without leaving its contexts."""
    for folder in [*_held]:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_of_dead() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another process may remove it at this moment.
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with open(folder / _LOCK, "rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
