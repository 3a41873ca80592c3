"""Command line: `python -m eval COMMAND ...`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import getdoc
from textwrap import fill
from typing import NamedTuple

from eval.commands import options, requests
from eval.export.options import export
from eval.export.request import ExportRequest
from eval.table.options import TableRequest, table
from eval.throughput.options import throughput
from eval.throughput.request import ThroughputRequest
from transforms.base.command import run_chosen, run_here
from transforms.base.console import outlive_readers
from transforms.base.reading import Parser
from transforms.base.request import Request

PARAGRAPH = "\n\n"  # between those of a docstring


class Command(NamedTuple):
    """A command: what declares its arguments, with its help as docstring, what they ask for, and the module whose `run`
    does it.

    The module is imported when its command runs, since some take seconds: neither --help nor a mistake waits for that.
    """

    declare: Callable[[argparse.ArgumentParser], None]
    request: type[Request]
    module: str


COMMANDS: Mapping[str, Command] = {
    "compare": Command(options.compare, requests.CompareRequest, "eval.commands.compare"),
    "export": Command(export, ExportRequest, "eval.export.command"),
    "measure": Command(options.measure, requests.MeasureRequest, "eval.commands.measure"),
    "order": Command(options.order, requests.OrderRequest, "eval.commands.order"),
    "table": Command(table, TableRequest, "eval.table.command"),
    "throughput": Command(throughput, ThroughputRequest, "eval.throughput.command"),
    "verify": Command(options.verify, requests.VerifyRequest, "eval.commands.verify"),
    "verify-output": Command(options.verify_output, requests.VerifyOutputRequest, "eval.commands.verify_output"),
}


def parser_of(name: str) -> Parser:
    """The parser of a command's own words."""
    command = COMMANDS[name]
    parser = Parser(prog=f"python -m eval {name}", description=getdoc(command.declare))
    command.declare(parser)
    return parser


def usage() -> str:
    """The commands and what they do."""
    lines = (
        fill(
            f"{name:15}{(getdoc(command.declare) or '').partition(PARAGRAPH)[0]}",
            100,
            initial_indent="  ",
            subsequent_indent=" " * 17,
            break_on_hyphens=False,
        )
        for name, command in COMMANDS.items()
    )
    return "\n".join(["usage: python -m eval COMMAND ...; COMMAND --help says more", "", *lines])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code: 0 done, the command's own, 1 a file cannot be written, 2 a user's
    mistake, 130 interrupted."""
    commands = {name: partial(_run, name) for name in COMMANDS}
    return run_chosen(commands, usage(), sys.argv[1:] if argv is None else argv)


def _run(name: str, words: Sequence[str]) -> int:
    command = COMMANDS[name]
    return run_here(parser_of(name), command.request, command.module, words)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
