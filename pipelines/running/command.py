"""How a job's command begins: its options are checked before what takes long is imported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from pipelines.running.options import split
from transforms.base.command import run_command


def run_job(
    parser: argparse.ArgumentParser,
    check: Callable[[argparse.Namespace], None],
    do: Callable[[argparse.Namespace, list[str]], int],
    arguments: Sequence[str] | None,
) -> int:
    """Run a job's command line (None: the process' own), which continues when it is given again.

    Args:
        parser: of our own options.
        check: refuses those that do not go together.
        do: the work, with our options and the words that are left for Beam; it imports what takes long.
        arguments: the command line.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)

    def work() -> int:
        options, rest = split(parser, words)
        check(options)
        return do(options, rest)

    again = "without --overwrite " if "--overwrite" in words else ""
    return run_command(work, f"the same command {again}continues")
