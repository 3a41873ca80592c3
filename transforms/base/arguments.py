"""Arguments on a command line: their types, each a function for argparse's `type`."""

from __future__ import annotations

import argparse
from math import isfinite
from numbers import Integral, Real
from types import UnionType
from typing import Any, get_args

from transforms.base.errors import UserError

FLOAT32_MAX = (2 - 2**-23) * 2.0**127  # IEEE 754, binary32


def names(text: str) -> tuple[str, ...]:
    """A list separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def not_empty(text: str) -> str:
    """A text that is not empty, as that of an unset shell variable is."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def number(text: str) -> float:
    """A number that scores are compared with: finite in float32, as they are."""
    value = _number(text)
    if not abs(value) <= FLOAT32_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number, as float32 has them")
    return value


def port(text: str) -> int:
    """The number of a port; 0 for any."""
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give 0 to 65535")
    return int(text)


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def price(text: str) -> float:
    """An amount of money, in whatever currency."""
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a price")
    return value


def amount(text: str, what: str = "") -> float:
    """A positive number, such as 1e8."""
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number{what}")
    return value


def speed(text: str) -> float:
    """A positive number of pairs a second."""
    return amount(text, " of pairs a second")


def _number(text: str) -> float:
    """A number; not a number where the text is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def check_number(name: str, value: object, hint: Any) -> None:
    """Refuse a setting's value that is not whole, or not finite, where its type is such a number, or None.

    Raises:
        UserError: it is not. Bounds are another matter.
    """
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if int in kinds and (isinstance(value, bool) or not isinstance(value, Integral)):
        raise UserError(f"--{name} {value}: give a whole number")
    if float in kinds and not (isinstance(value, Real) and isfinite(value)):
        raise UserError(f"--{name} {value}: give a finite number")
