"""Real text to be scored, from candidate lists."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, cycle, islice

import pyarrow as pa
import pyarrow.parquet as pq

from eval.files import locate
from transforms.errors import UserError, one_line
from transforms.scoring import RankingTask


def read(location: str, list_size: int | None) -> list[RankingTask]:
    """The lists of a Parquet file with nested candidates.

    Args:
        location: path or URI.
        list_size: documents of a list: longer lists are cut, shorter ones are filled from those that follow.

    Raises:
        UserError: the file cannot be read, or has no candidates.
    """
    filesystem, path = locate(location)
    try:
        rows = pq.read_table(path, filesystem=filesystem, columns=["query", "candidates"]).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"--candidates {location}: {one_line(error)}; give nested candidate lists") from None
    lists = [
        RankingTask(
            row["query"], [" ".join(filter(None, (one.get("title"), one["text"]))) for one in row["candidates"]]
        )
        for row in rows
        if row["query"] is not None and row["candidates"]
    ]
    if not lists:
        raise UserError(f"--candidates {location}: no list has a candidate; give another file")
    return lists if list_size is None else resized(lists, list_size)


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
