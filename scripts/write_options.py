"""Write docs/options.md: every option of every command, from the parsers themselves.

make docs
"""

from __future__ import annotations

import argparse
from pathlib import Path
from textwrap import fill

from eval.__main__ import COMMANDS, parser_of
from pipelines.benchmark import options as benchmark
from pipelines.candidates import options as candidates
from pipelines.rerank import options as rerank
from pipelines.score import options as score
from pipelines.serve import options as serve

PAGE = Path(__file__).resolve().parent.parent / "docs" / "options.md"
HEAD = """# Options

Every option of every command. This page is generated from the parsers by `make docs`; do not edit it. An option that a
command does not know is an error; one of several values that is given again adds to them. Options of a model take the
vendor's values by default; an option that the model does not have is an error too.
"""
WIDTH = 120  # of a line of text, in characters
TABLE = "| option | values | default | meaning |\n|---|---|---|---|\n"


def commands() -> list[argparse.ArgumentParser]:
    """The parsers of all commands."""
    ours = [command.build_parser() for command in (rerank, candidates, benchmark, score, serve)]
    return [*ours, *map(parser_of, COMMANDS)]


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *map(section, commands())])


def section(parser: argparse.ArgumentParser) -> str:
    """One command: its description, a table, and what its help says at the end."""
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    rows = "".join(f"| {' | '.join(map(_cell, row(parser, action)))} |\n" for action in actions)
    texts = [f"## {parser.prog}", _filled(str(parser.description)), TABLE + rows.rstrip("\n")]
    return "\n\n".join([*texts, *([_filled(parser.epilog)] if parser.epilog else [])]) + "\n"


def row(parser: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str, str, str]:
    """An option's names, values, default and meaning."""
    names = ", ".join(f"`{name}`" for name in action.option_strings or [str(action.metavar or action.dest)])
    return names, _values(action), _default(action), parser._get_formatter()._expand_help(action)


def _values(action: argparse.Action) -> str:
    if action.choices is not None:
        return ", ".join(f"`{choice}`" for choice in action.choices)
    if action.nargs == 0 or not action.option_strings:
        return ""
    value = str(action.metavar or action.dest.upper())
    return f"{value} ..." if action.nargs in ("+", "*") else value


def _default(action: argparse.Action) -> str:
    if action.required and action.nargs != "*":
        return "required"
    if action.nargs == 0 or action.default in (None, argparse.SUPPRESS) or action.default in ([], (), ""):
        return ""
    defaults = action.default if isinstance(action.default, (list, tuple)) else [action.default]
    return " ".join(f"`{value}`" for value in defaults)


def _filled(text: str) -> str:
    return fill(" ".join(text.split()), WIDTH)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
