"""Command line: `python -m eval COMMAND ...`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from inspect import getdoc
from typing import NamedTuple, NoReturn

from eval.commands import options, requests
from eval.export.options import export
from eval.export.request import ExportRequest
from eval.table.options import TableRequest, table
from eval.throughput.options import throughput
from eval.throughput.request import ThroughputRequest
from transforms.base.collector import at_rest
from transforms.base.command import run_command
from transforms.base.console import outlive_readers
from transforms.base.errors import UserError, one_line
from transforms.base.request import Request, check, request_of


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


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line like all others."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def parser() -> Parser:
    """The command line's parser."""
    root = Parser(prog="python -m eval", description="Evaluate scored candidates and TREC runs.")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        text = getdoc(command.declare)
        own = commands.add_parser(name, help=text, description=text)
        own.set_defaults(parser=own)
        command.declare(own)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code: 0 done, the command's own, 1 a file cannot be written, 2 a user's
    mistake, 130 interrupted."""

    def work() -> int:
        try:
            args, unknown = parser().parse_known_args(argv)
            if unknown:
                args.parser.error(f"unrecognized arguments: {' '.join(unknown)}")  # names the command's own --help
            command = COMMANDS[args.command]
            request = request_of(command.request, args)
            check(request)
            with at_rest():
                run = import_module(command.module).run
            code: int | None = run(request)
        except OSError as problem:
            raise UserError(one_line(problem)) from problem
        return code or 0

    return run_command(work)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
