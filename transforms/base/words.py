"""Numbers and lists in sentences."""

from __future__ import annotations

from collections.abc import Sequence

_LISTED = 5  # of many, so that a message stays a line


def number_of(number: int, singular: str, plural: str) -> str:
    """ "1 query", "1,234 queries"."""
    return f"{number:,} {singular if number == 1 else plural}"


def kind_of(value: object) -> str:
    """ "a dict", "an int"."""
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def listed(items: Sequence[str], separator: str = ", ") -> str:
    """The first of the items, and how many more there are."""
    more = [f"and {len(items) - _LISTED} more"] if len(items) > _LISTED else []
    return separator.join([*items[:_LISTED], *more])
