"""A command line, read to its end whatever is wrong with it, so that all that is wrong is reported together."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import NamedTuple, TypeVar

from pipelines.running.options import names_of
from transforms.base.errors import UserError
from transforms.base.request import Request, request_of

Asked = TypeVar("Asked", bound=Request)
NEAR = 0.83  # how like an option a word must be to be taken for a slip


class Parsed(NamedTuple):
    """What a parser makes of a command line.

    Attributes:
        options: its own; where a value cannot be, the default.
        rest: the words that it does not know.
        wrong: option -> what is wrong with its value.
        missing: which required options are not given, a part of a line; empty where all are.
    """

    options: argparse.Namespace
    rest: list[str]
    wrong: dict[str, str]
    missing: str


def parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> Parsed:
    """Read all words: argparse itself ends at the first mistake, so it is asked again with that one let through."""
    lenient = deepcopy(parser)
    lenient.exit_on_error = False
    wrong: dict[str, argparse.Action] = {}
    complaints: dict[str, str] = {}
    missing = ""
    while True:
        try:
            options, rest = lenient.parse_known_args(list(words))
            break
        except argparse.ArgumentError as error:
            name = str(error.argument_name).split("/")[0]
            if error.argument_name is None or name in wrong:  # it cannot be let through
                raise UserError(f"{error}; see --help") from None
            wrong[name] = action = lenient._option_string_actions[name]
            complaints[name] = f"{error}; see --help"
            action.__class__ = argparse._StoreAction  # one of Beam's own would not take what is let through
            action.type = action.choices = None
            action.nargs = "*" if action.nargs == "+" else "?"
        except UserError as error:  # of the options that are required
            missing = str(error)
            for action in lenient._actions:
                action.required = False
    for action in wrong.values():
        setattr(options, action.dest, parser.get_default(action.dest))
    return Parsed(options, rest, complaints, missing)


def read(
    kind: type[Asked], parser: argparse.ArgumentParser, words: Sequence[str]
) -> tuple[Asked | None, list[str], list[str]]:
    """What a command line asks for.

    Args:
        kind: the dataclass of it.
        parser: of our own options.
        words: the command line.

    Returns:
        The request, None where a required option is missing or wrong; the words that the parser does not know; and what
        is wrong with the others, a part of a line each.
    """
    options, rest, wrong, missing = parsed(parser, words)
    complaints = [*wrong.values(), *([missing] if missing else [])]
    if missing or any(parser._option_string_actions[name].required for name in wrong):
        return None, rest, complaints
    request = request_of(kind, options)
    # Its complaints of an option whose value is wrong would be of the default.
    others = [complaint for complaint in request.complaints() if not any(name in complaint for name in wrong)]
    return request, rest, [*complaints, *others]


def unknown(rest: Sequence[str], known: Sequence[str], problem: str) -> Iterator[str]:
    """What to say of words that no parser knows: of the options among them, since a value may stand behind each.

    Args:
        rest: the words.
        known: all options.
        problem: what is wrong with each.
    """
    for word in [word for word in rest if word.startswith("-")] or rest[:1]:
        near = difflib.get_close_matches(word.split("=", 1)[0], known, n=1, cutoff=NEAR)
        yield f"{word}: {problem}; {f'did you mean {near[0]}?' if near else 'see --help'}"


def unknown_to_beam(read: Parsed, our_names: Sequence[str], beam: argparse.ArgumentParser) -> Iterator[str]:
    """What is wrong with the words that are left for Beam.

    Args:
        read: what `parsed` makes of those.
        our_names: all options of ours, one of which a mistyped word may mean.
        beam: knows Beam's options.
    """
    known = [*our_names, *names_of(beam)]
    yield from unknown(read.rest, known, "neither this command nor Beam has such an option")
    yield from (f"{complaint}, and Beam's documentation for a runner's options" for complaint in read.wrong.values())
