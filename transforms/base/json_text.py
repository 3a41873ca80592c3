"""JSON from outside, which may be anything."""

from __future__ import annotations

import json
from typing import Any

from transforms.base.errors import one_line


def parse(text: str | bytes) -> Any:
    """What a text says in JSON.

    Raises:
        ValueError: it is no JSON, or nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(one_line(error)) from None
