"""Command line: `python -m eval COMMAND ...`. Each command is a module with `add_arguments` and `run`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from eval import table, throughput
from eval.commands import compare, measure, order, verify
from transforms.base.command import run_command
from transforms.base.console import outlive_readers
from transforms.base.errors import UserError, one_line

COMMANDS = {
    "compare": compare,
    "measure": measure,
    "order": order,
    "table": table,
    "throughput": throughput,
    "verify": verify,
}


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line like all others."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see {self.prog} --help")


def parser() -> Parser:
    """The command line's parser; a command's help is its module's docstring."""
    root = Parser(prog="python -m eval", description="Evaluate scored candidates and TREC runs.")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        text = str(module.__doc__)
        module.add_arguments(commands.add_parser(name, help=text, description=text))
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code: 0 done, the command's own, 1 a file cannot be written, 2 a user's
    mistake, 130 interrupted."""

    def work() -> int:
        try:
            args = parser().parse_args(argv)
            code: int | None = COMMANDS[args.command].run(args)
        except OSError as problem:
            raise UserError(one_line(problem)) from problem
        return code or 0

    return run_command(work)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
