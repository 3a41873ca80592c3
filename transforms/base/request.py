"""What a command line asks for as a value: checked whole before anything that takes long is imported."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import TypeVar

from transforms.base.errors import UserError

Asked = TypeVar("Asked", bound="Request")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a command is asked for; each field is the option of its name."""

    def complaints(self) -> Iterator[str]:
        """What of it cannot be or does not go together, a part of a line each."""
        return iter(())


def request_of(kind: type[Asked], options: argparse.Namespace) -> Asked:
    """What the options ask for, as the request that has a field for each of them; lists become tuples."""
    asked = {field.name: getattr(options, field.name) for field in fields(kind)}
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in asked.items()})


def check(request: Request) -> None:
    """Refuse a request with all its complaints.

    Raises:
        UserError: it has one.
    """
    refuse(request.complaints())


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
