"""Added tokens: the strings that a tokenizer takes for one token wherever a text has them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


def alternatives(added: Sequence[Mapping[str, Any]], lstrip: bool = False) -> re.Pattern[str] | None:
    """A pattern that finds the added tokens in a text as it is given.

    Args:
        added: as a tokenizer.json lists them.
        lstrip: whether they may take the blanks before them.

    Returns:
        None if one is looked for in another way: in the normalised text, or by what is around it.
    """
    if any(
        token["normalized"] or token["rstrip"] or token["single_word"] or (token["lstrip"] and not lstrip)
        for token in added
    ):
        return None
    return re.compile("|".join(re.escape(token["content"]) for token in added) or r"(?!)")
