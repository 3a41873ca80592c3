"""What a command line asks for as a value: checked whole before anything that takes long is imported."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from transforms.base.errors import UserError

RequestType = TypeVar("RequestType", bound="Request")
Check = Callable[[], Iterator[str]]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a command is asked for; each field is the option of its name."""

    def checks(self) -> Iterable[Check]:
        """Each says what of some options cannot be or does not go together, a part of a line each."""
        return ()

    def complaints(self) -> Iterator[str]:
        """What all of its checks say."""
        return answers_of(self, *self.checks())


def values_of(request: Request, kind: type[Request]) -> dict[str, Any]:
    """Field -> value, of the fields that a class has of which the request is one too."""
    return {field.name: getattr(request, field.name) for field in fields(kind)}


def present(values: Mapping[str, object]) -> list[str]:
    """The options that have a value: not None, and not empty."""
    return [name for name, value in values.items() if value]


def request_of(kind: type[RequestType], options: argparse.Namespace) -> RequestType:
    """What the options ask for, as the request that has a field for each of them; lists become tuples.

    Of options that lack required ones it has the other fields alone: it is good for its complaints and no more.
    """
    parsed = {name: tuple(value) if isinstance(value, list) else value for name, value in vars(options).items()}
    values = {field.name: parsed[field.name] for field in fields(kind) if field.name in parsed}
    if len(values) == len(fields(kind)):
        return kind(**values)
    request = object.__new__(kind)
    vars(request).update(values)
    return request


def answers_of(request: Request, *checks: Check) -> Iterator[str]:
    """What checks of a request say; one that reads a field that the request lacks, see `request_of`, ends there."""
    names = {field.name for field in fields(request)}
    for check in checks:
        try:
            yield from check()
        except AttributeError as error:
            if error.obj is not request or error.name not in names:
                raise


def refuse(complaints: Iterable[str]) -> None:
    """Report all complaints in one line.

    Raises:
        UserError: there is one.
    """
    if line := "; ".join(complaints):
        raise UserError(line)


def refusals(*checks: Callable[[], object]) -> Iterator[str]:
    """What those of the checks say that raise UserError."""
    for one in checks:
        try:
            one()
        except UserError as error:
            yield str(error)
