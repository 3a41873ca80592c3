"""How every command begins and ends: what is wrong with its words is reported together, before what takes long is
imported; one line says what went wrong later, and the exit code says it to scripts.
"""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from transforms.base import collector
from transforms.base.errors import UnavailableError, UserError, one_line
from transforms.base.reading import names_of, read, unknown
from transforms.base.request import Request, refuse
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
        advice = next_step and f"; what is done is kept, {next_step}"
        print(f"error: {failed}, see above{advice}", file=sys.stderr)
        return 1


def run_here(
    parser: argparse.ArgumentParser,
    kind: type[Request],
    module: str,
    arguments: Sequence[str] | None,
    extra: str | None = None,
) -> int:
    """Run the command line of what is done in this process and leaves nothing to continue.

    Args:
        parser: of all options.
        kind: the dataclass of what they ask for.
        module: whose `run` does the work, with the request, and returns the exit code, or None for 0; it takes seconds
            to import.
        arguments: the command line; None for the process' own.
        extra: of this package, with which what the module imports is installed; None where that always is.

    Returns:
        The exit code.
    """

    def work() -> int:
        words = sys.argv[1:] if arguments is None else arguments
        request, rest, wrong = read(kind, parser, words)
        refuse([*unknown(rest, names_of(parser), "this command has no such option"), *wrong])
        try:
            with collector.at_rest():
                run = import_module(module).run
        except ModuleNotFoundError as error:
            if extra is None:
                raise
            raise UserError(f"{error.name} is not installed; install this package with its extra {extra}") from None
        try:
            code: int | None = run(request)
        except OSError as error:
            raise UserError(one_line(error)) from error
        return code or 0

    return run_command(work)


def run_chosen(commands: Mapping[str, Callable[[Sequence[str]], int]], usage: str, words: Sequence[str]) -> int:
    """Run the command that the first word names with the other words.

    Args:
        commands: name -> what runs it and returns the exit code.
        usage: what --help prints.
        words: the command line.

    Returns:
        The exit code, 2 where there is no such command.
    """
    if words and words[0] in ("-h", "--help"):
        print(usage)
        return 0
    if words and words[0] in commands:
        return commands[words[0]](words[1:])
    near = difflib.get_close_matches(words[0], commands, n=1) if words else []
    problem = f"{words[0]}: no such command" if words else "no command given"
    hint = f"did you mean {near[0]}?" if near else f"give one of {', '.join(commands)}"
    print(f"error: {problem}; {hint}", file=sys.stderr)
    return UserError.exit_code
