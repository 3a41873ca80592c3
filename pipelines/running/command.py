"""How a job's command begins: its options are checked before what takes long is imported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from pipelines.running.options import request_of, split
from transforms.base.command import run_command
from transforms.base.errors import UserError


class Request(Protocol):
    """What a job's options ask for."""

    def complaints(self) -> Iterable[str]:
        """What of it does not go together, a part of a line each."""


Checked = TypeVar("Checked", bound=Request)


def check(request: Request) -> None:
    """Refuse a request with all that does not go together in it.

    Raises:
        UserError: something does not.
    """
    if complaints := [*request.complaints()]:
        raise UserError("; ".join(complaints))


def run_job(
    parser: argparse.ArgumentParser,
    kind: type[Checked],
    do: Callable[[Checked, list[str]], int],
    arguments: Sequence[str] | None,
) -> int:
    """Run a job's command line (None: the process' own), which continues when it is given again.

    Args:
        parser: of our own options.
        kind: the dataclass of what they ask for.
        do: the work, with the request and the words that are left for Beam; it imports what takes long.
        arguments: the command line.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)

    def work() -> int:
        options, rest = split(parser, words)
        request = request_of(kind, options)
        check(request)
        return do(request, rest)

    again = "without --overwrite " if "--overwrite" in words else ""
    return run_command(work, f"the same command {again}continues")
