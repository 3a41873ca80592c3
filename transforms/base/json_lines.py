"""JSON lines from outside: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from transforms.base.errors import UserError, one_line
from transforms.base.json_text import parse
from transforms.base.text import read_lines


def read_objects(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each object of a file stands, in words, and the object.

    Raises:
        UserError: the file cannot be read, or a line is none.
    """
    for number, line in read_lines(path):
        where = f"{path}: line {number}"
        try:
            row = parse(line)
        except ValueError as error:
            raise UserError(f"{where}: no JSON ({one_line(error)}); give one object a line") from None
        if not isinstance(row, dict):
            problem = "a JSON list, and no object" if isinstance(row, list) else "no JSON object"
            raise UserError(f"{where}: {problem}; give one object a line")
        yield where, row


def whole(text: str) -> str:
    """The text with U+FFFD for each unpaired surrogate, which JSON can hold and Parquet cannot."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
