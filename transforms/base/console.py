"""What a command prints is for whoever reads it, and its work is done without a reader."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t\r"}


class _Forgiving(io.FileIO):
    """Drops what cannot be written."""

    def write(self, content: Any) -> int:
        try:
            return super().write(content) or 0
        except OSError:
            return len(content)


class _Plain(io.TextIOWrapper):
    """Prints control characters, which terminals obey, as escapes, save line breaks, tabs and progress lines' returns;
    so also what its encoding lacks."""

    def write(self, text: str) -> int:
        return super().write(text.translate(_ESCAPES))


def outlive_readers() -> None:
    """From now on a closed pipe, a closed terminal, a full disk under a log, another encoding than UTF-8 or texts from
    outside change nothing but what is printed.

    For the entrance of a process alone: it replaces sys.stdout and sys.stderr.
    """
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before the process began
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
            continue
        binary = io.BufferedWriter(_Forgiving(number, "w", closefd=False))
        line_buffering = stream.line_buffering or stream.write_through  # the latter with PYTHONUNBUFFERED
        wrapper = _Plain(binary, stream.encoding, "backslashreplace", line_buffering=line_buffering)
        setattr(sys, name, wrapper)
