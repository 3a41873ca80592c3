"""Whether a passage holds an answer, as open-domain question answering does. Knows nothing of runs or measures.

A passage holds an answer if the answer's tokens stand in it one after the other. By this rule MKQA's recall is measured
(the questions are of Longpre et al. 2021, the rule and the tokens of Dense Passage Retrieval, Karpukhin et al. 2020).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import regex

from transforms.base.errors import UserError
from transforms.base.json_text import parse
from transforms.base.text import read_lines

# Letters, digits and combining marks in a row, or any other character that is neither space nor control.
TOKEN = regex.compile(r"[\p{L}\p{N}\p{M}]+|[^\p{Z}\p{C}]")
BREAK = "\n"  # a control character, so that no token has it
EXPECTED = '{"query_id": "...", "answers": ["...", ...]}'


def normalise(text: str) -> str:
    """Decomposed (NFD) and in lower case."""
    return unicodedata.normalize("NFD", text).lower()


def spell(normalised: str) -> str:
    """The tokens of a text with a break before, between and after them; "" where it has none."""
    tokens = TOKEN.findall(normalised)
    return BREAK.join(["", *tokens, ""]) if tokens else ""


def holds(passage: str, answers: Sequence[str]) -> bool:
    """Whether a passage holds one of the answers.

    Args:
        passage: its title and text, as they are.
        answers: each as `spell` gives it, none empty.
    """
    normalised = normalise(passage)
    # Finding tokens takes long, and most passages lack some token of each answer.
    near = [spelled for spelled in answers if all(token in normalised for token in spelled.split(BREAK))]
    if not near:
        return False
    tokens = spell(normalised)
    return any(spelled in tokens for spelled in near)


def read_answers(location: str) -> dict[str, tuple[str, ...]]:
    """Each query's answers, spelled; those without a token, which stand nowhere, are left out.

    Args:
        location: JSON Lines, plain or gzip, one query a line.

    Raises:
        UserError: the file cannot be read, is empty, has a malformed line, or gives a query twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    for number, line in read_lines(location):
        where = f"{location}: line {number}"
        query_id, answers = _parse(line, where)
        if query_id in found:
            raise UserError(f"{where}: query {query_id!r} has been there before; keep one line for it")
        found[query_id] = tuple(dict.fromkeys(filter(None, (spell(normalise(answer)) for answer in answers))))
    if not found:
        raise UserError(f"{location}: no answers in it; give a file of lines {EXPECTED}")
    return found


def _parse(line: bytes, where: str) -> tuple[str, list[str]]:
    try:
        record = parse(line)
    except ValueError:
        raise UserError(f"{where}: not JSON in UTF-8; give a file of lines {EXPECTED}") from None
    query_id, answers = (record.get(name) for name in ("query_id", "answers")) if isinstance(record, dict) else (0, 0)
    if isinstance(query_id, int) and not isinstance(query_id, bool):
        query_id = str(query_id)
    if not isinstance(query_id, str) or not isinstance(answers, list):
        raise UserError(f"{where}: expected {EXPECTED}; fix the line")
    if not all(isinstance(answer, str) for answer in answers):
        raise UserError(f"{where}: an answer of query {query_id!r} is not a string; fix the line")
    return query_id, answers
