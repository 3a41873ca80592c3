"""JSON: from outside, where it may be anything, and as we write it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from transforms.base.errors import one_line


def parse(text: str | bytes) -> Any:
    """What a text says in JSON.

    Raises:
        ValueError: it is not JSON, or nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(one_line(error)) from None


def indented(value: Any, *, ascii_only: bool = False) -> str:
    """A value for people to read too, with a newline at the end."""
    return json.dumps(value, indent=2, ensure_ascii=ascii_only) + "\n"


def sha256(value: Any) -> str:
    """Hexadecimal SHA-256 of a value, the same in whatever order its keys are."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
