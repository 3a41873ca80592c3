"""Command lines: our own options by argparse, the rest by Beam's runners, and nothing unknown let through."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import Any, NoReturn

from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser

from transforms.base.errors import UserError


class Parser(argparse.ArgumentParser):
    """Tells a mistake as a UserError, in one line, and takes no abbreviated options, which Beam may mean otherwise."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **keywords)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> tuple[argparse.Namespace, PipelineOptions]:
    """Our options and Beam's from one command line.

    Raises:
        UserError: an option that neither knows; Beam itself would pass over it with a warning.
    """
    ours, rest = parser.parse_known_args(arguments)
    _refuse_unknown(rest, [name for action in parser._actions for name in action.option_strings])
    return ours, PipelineOptions(rest)


def _refuse_unknown(rest: Sequence[str], our_names: Sequence[str]) -> None:
    beam = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for options in PipelineOptions.__subclasses__():
        if "_add_argparse_args" in options.__dict__:
            sub = _BeamArgumentParser(add_help=False, conflict_handler="resolve")
            options._add_argparse_args(sub)
            known = set(beam._option_string_actions)
            for action in sub._actions:
                if not known.intersection(action.option_strings):
                    beam._add_action(action)
    try:
        _, unknown = beam.parse_known_args(list(rest))
    except argparse.ArgumentError as error:
        raise UserError(f"{error}; see --help, and Beam's documentation for a runner's options") from None
    for word in unknown:
        name = word.split("=", 1)[0]
        near = difflib.get_close_matches(name, [*our_names, *beam._option_string_actions], n=1)
        hint = f"; did you mean {near[0]}?" if near else "; see --help"
        raise UserError(f"{word}: neither this command nor Beam has such an option{hint}")
