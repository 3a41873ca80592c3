"""How a job's command begins: its options are checked before what takes long is imported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Protocol

from pipelines.running.options import split
from transforms.base.arguments import request_of
from transforms.base.command import run_command
from transforms.base.errors import UserError


class Request(Protocol):
    """What a job's options ask for."""

    def complaints(self) -> Iterable[str]:
        """What of it does not go together, a part of a line each."""


def check(request: Request) -> None:
    """Refuse a request with all that does not go together in it.

    Raises:
        UserError: something does not.
    """
    if complaints := [*request.complaints()]:
        raise UserError("; ".join(complaints))


def run_job(parser: argparse.ArgumentParser, kind: type[Request], job: str, arguments: Sequence[str] | None) -> int:
    """Run a job's command line (None: the process' own), which continues when it is given again.

    Args:
        parser: of our own options.
        kind: the dataclass of what they ask for.
        job: the module whose `do_job` does the work, with the request and the words that are left for Beam, and returns
            the exit code; it takes seconds to import.
        arguments: the command line.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)

    def work() -> int:
        options, rest = split(parser, words)
        request = request_of(kind, options)
        check(request)
        code: int = import_module(job).do_job(request, rest)
        return code

    again = "without --overwrite " if "--overwrite" in words else ""
    return run_command(work, f"the same command {again}continues")
