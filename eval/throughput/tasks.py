"""Real text to be scored, from candidate lists."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, cycle, islice

import pyarrow as pa
import pyarrow.parquet as pq
from transformers import PreTrainedTokenizerBase

from transforms.base.errors import UserError, one_line
from transforms.base.files import FAILURES, open_columns
from transforms.scoring import RankingTask
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.frames import is_text


def read(location: str, list_size: int | None) -> list[RankingTask]:
    """The lists of a Parquet file with nested candidates.

    Args:
        location: path or URI.
        list_size: documents of a list: longer lists are cut, shorter ones are filled from those that follow.

    Raises:
        UserError: the file cannot be read, or has no candidates.
    """
    try:
        with open_columns(location) as stream:
            table = pq.read_table(stream)
    except (*FAILURES, pa.ArrowException) as error:
        raise UserError(f"--candidates {location}: {one_line(error)}; give a Parquet file that is there") from None
    if not _nested(table.schema):
        raise UserError(
            f"--candidates {location}: no columns query (string) and candidates (lists of structs with a string text); "
            "give nested candidate lists"
        )
    lists = [
        RankingTask(
            row["query"],
            [
                " ".join(filter(None, (one.get("title"), one["text"])))
                for one in row["candidates"] or ()
                if one is not None and one["text"] is not None
            ],
        )
        for row in table.select(["query", "candidates"]).to_pylist()
        if row["query"] is not None
    ]
    lists = [one for one in lists if one.documents]
    if not lists:
        raise UserError(f"--candidates {location}: no list has a candidate; give another file")
    return lists if list_size is None else resized(lists, list_size)


def _nested(schema: pa.Schema) -> bool:
    """Whether there are queries and candidates with texts, and titles that are texts too if there are any."""
    types = {field.name: field.type for field in schema}
    query, candidates = types.get("query"), types.get("candidates")
    if query is None or candidates is None or not is_text(query):
        return False
    entry = getattr(candidates, "value_type", None)
    if entry is None or not pa.types.is_struct(entry):
        return False
    fields = {field.name: field.type for field in entry}
    return "text" in fields and all(is_text(fields[name]) for name in ("title", "text") if name in fields)


def resized(lists: Sequence[RankingTask], size: int) -> list[RankingTask]:
    """Lists of so many documents each: the first of their own, filled up with the documents of the lists after it."""

    def from_here(place: int) -> list[str]:
        following = cycle(chain.from_iterable(one.documents for one in (*lists[place:], *lists[:place])))
        return list(islice(following, size))

    return [one._replace(documents=from_here(place)) for place, one in enumerate(lists)]


def take(lists: Sequence[RankingTask], pairs: int) -> list[RankingTask]:
    """So many pairs, the lists from the beginning again where they are too few.

    Of these later ones query and documents are numbered, so that none of their texts has been seen before.
    """
    taken: list[RankingTask] = []
    left, turn = pairs, 0
    while left:
        for one in lists:
            documents = one.documents[:left]
            if turn:
                one = RankingTask(f"{turn} {one.query}", [f"{turn} {text}" for text in documents])
            taken.append(one._replace(documents=documents if not turn else one.documents))
            left -= len(documents)
            if not left:
                break
        turn += 1
    return taken


def of_length(tasks: Sequence[RankingTask], tokens: int, tokenizer: PreTrainedTokenizerBase) -> list[RankingTask]:
    """The tasks with documents cut, or begun again, so that each pair has so many tokens, special ones included.

    A word counts as it does behind a blank; byte pairs at a text's begin may be one more or one less.
    """
    known = Tokens(tokenizer)
    known.add(f" {word}" for task in tasks for text in (task.query, *task.documents) for word in text.split())

    def size(word: str) -> int:
        return len(known[f" {word}"])

    def sized(document: str, room: int) -> str:
        words: list[str] = []
        for word in cycle(document.split() or ["a"]):
            if size(word) > room:
                return " ".join([*words, *["a"] * room])
            words.append(word)
            room -= size(word)
        raise AssertionError

    special = tokenizer.backend_tokenizer.num_special_tokens_to_add(True)
    rooms = [max(tokens - special - sum(map(size, task.query.split())), 1) for task in tasks]
    return [
        task._replace(documents=[sized(document, room) for document in task.documents])
        for task, room in zip(tasks, rooms, strict=True)
    ]
