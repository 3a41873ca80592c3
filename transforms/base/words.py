"""Numbers in sentences."""

from __future__ import annotations


def number_of(number: int, singular: str, plural: str) -> str:
    """ "1 query", "1,234 queries"."""
    return f"{number:,} {singular if number == 1 else plural}"
