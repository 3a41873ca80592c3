"""A command line, read to its end whatever is wrong with it, so that all that is wrong is reported together."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, NamedTuple, NoReturn

from transforms.base.errors import UserError
from transforms.base.request import RequestType, request_of

NEAR = 0.83  # how like an option a word must be to be taken for a slip


class Parser(argparse.ArgumentParser):
    """Reports a mistake as a UserError, in one line, and takes no abbreviations, which Beam may mean otherwise."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(allow_abbrev=False, **keywords)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")


def names_of(parser: argparse.ArgumentParser) -> list[str]:
    """All options that a parser knows."""
    return [name for action in parser._actions for name in action.option_strings]


class Parsed(NamedTuple):
    """What a parser makes of a command line.

    Attributes:
        options: its own; where a value cannot be, the default, and nothing where a value is required.
        rest: the words that it does not know.
        wrong: option -> what is wrong with its value.
        missing: which required options are not given, a part of a line each.
    """

    options: argparse.Namespace
    rest: list[str]
    wrong: dict[str, str]
    missing: list[str]


def parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> Parsed:
    """Read all words: argparse itself ends at the first mistake, so it is asked again with that one let through."""
    lenient = deepcopy(parser)
    lenient.exit_on_error = False
    for action in lenient._actions:
        if action.required and action.nargs != "*":
            action.default = argparse.SUPPRESS
    groups: list[Any] = lenient._mutually_exclusive_groups
    wrong: dict[str, argparse.Action] = {}
    complaints: dict[str, str] = {}
    missing: list[str] = []
    while True:
        try:
            options, rest = lenient.parse_known_args(list(words))
            break
        except argparse.ArgumentError as error:
            name = str(error.argument_name).split("/")[0]
            if name in wrong and groups:  # it is given beside another that excludes it
                groups.clear()
                continue
            if name in wrong or name not in lenient._option_string_actions:  # it cannot be let through
                raise UserError(f"{error}; see --help") from None
            wrong[name] = action = lenient._option_string_actions[name]
            complaints[name] = f"{error}; see --help"
            action.__class__ = argparse._StoreAction  # one of Beam's own would not take what is let through
            action.type = action.choices = None
            action.nargs = "*" if action.nargs == "+" else "?"
        except UserError as error:  # of the options that are required, then of a group of them
            missing += [str(error)] if str(error) not in missing else []
            for each in [action for action in lenient._actions if action.required] or groups:
                each.required = False
    for action in wrong.values():
        vars(options).pop(action.dest, None)
        if action.default is not argparse.SUPPRESS:
            setattr(options, action.dest, action.default)
    return Parsed(options, rest, complaints, missing)


def read(
    kind: type[RequestType], parser: argparse.ArgumentParser, words: Sequence[str]
) -> tuple[RequestType, list[str], list[str]]:
    """What a command line asks for.

    Args:
        kind: the dataclass of it.
        parser: of our own options.
        words: the command line.

    Returns:
        The request, without the fields of required options that are missing or wrong; the words that the parser does
        not know; and what is wrong with the others, a part of a line each.
    """
    options, rest, wrong, missing = parsed(parser, words)
    request = request_of(kind, options)
    # Its complaints of an option whose value is wrong would be of the default.
    others = [complaint for complaint in request.complaints() if not any(name in complaint for name in wrong)]
    return request, rest, [*wrong.values(), *missing, *others]


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
