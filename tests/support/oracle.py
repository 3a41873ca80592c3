"""What becomes of the input's rows, said in plain Python from docs/data.md alone, to hold the job against."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Row = Mapping[str, Any]


class Pair(NamedTuple):
    """A pair to score."""

    query_id: str
    doc_id: str
    query: str
    text: str
    first_stage_rank: int


class Rejection(NamedTuple):
    """A pair or a query that is not scored."""

    query_id: str | None
    doc_id: str | None
    n_candidates: int | None
    reason: str


Outcome = tuple[list[Pair], list[Rejection]]


def decoded(value: Any) -> tuple[str | None, bool]:
    """A string as it is read, and whether it is none for not being UTF-8. Files hold bytes, and integers as ids."""
    if value is None:
        return None, False
    if isinstance(value, int):
        return str(value), False
    try:
        return (value if isinstance(value, bytes) else value.encode()).decode(), False
    except UnicodeDecodeError:
        return None, True


def usable(query_id: Any) -> str | None:
    """The id, if it can name something."""
    value, _ = decoded(query_id)
    return value if value and value.strip() else None


def nested(rows: Iterable[Row]) -> Outcome:
    """Of all rows of the input with one row per query."""
    pairs: list[Pair] = []
    rejections: list[Rejection] = []
    seen: set[str] = set()
    for row in rows:
        name = usable(row["query_id"])
        again = name is not None and name in seen
        seen |= {name} if name else set()
        listed = row["candidates"]
        fault = "duplicate_query_id" if again else _query_fault(row) or ("null_candidates" if listed is None else None)
        _add(pairs, rejections, row, listed or [], [None] * len(listed or []), fault)
    return pairs, rejections


def flat(rows: Iterable[Row]) -> Outcome:
    """Of all rows of the input with one row per pair."""
    queries: dict[Any, list[Row]] = {}
    for number, row in enumerate(rows):
        queries.setdefault(usable(row["query_id"]) or number, []).append(row)
    pairs: list[Pair] = []
    rejections: list[Rejection] = []
    for group in queries.values():
        said = {name: _first([row.get(name) for row in group]) for name in ("query", "instruction")}
        head = {"query_id": group[0]["query_id"], **said}
        _add(pairs, rejections, head, group, [_row_fault(row, said) for row in group], _query_fault(head))
    return pairs, rejections


def _first(values: Sequence[Any]) -> Any:
    """The first that can be read, else the first."""
    return next((value for value in values if decoded(value)[0] is not None), values[0])


def _row_fault(row: Row, said: Row) -> str | None:
    """Why a row of the flat layout does not belong to its query."""
    for name in ("query", "instruction"):
        value, bad = decoded(row.get(name))
        if name == "query" and value is None and not bad:
            return "null_query"
        if bad:
            return "invalid_utf8"
        if value is not None and value != decoded(said[name])[0]:
            return "conflicting_query"
    return None


def _query_fault(row: Row) -> str | None:
    value, bad = decoded(row["query_id"])
    query, bad_query = decoded(row["query"])
    faults = {
        "invalid_utf8": bad,
        "null_query_id": value is None and not bad,
        "blank_query_id": value is not None and not value.strip(),
    }
    fault = next((reason for reason, is_so in faults.items() if is_so), None)
    if fault is None and (bad_query or query is None):
        fault = "invalid_utf8" if bad_query else "null_query"
    return fault or ("invalid_utf8" if decoded(row.get("instruction"))[1] else None)


def _entry_fault(entry: Row | None) -> str | None:
    if entry is None:
        return "null_candidate"
    (doc_id, bad_id), (text, bad_text) = decoded(entry["doc_id"]), decoded(entry["text"])
    if bad_id or doc_id is None:
        return "invalid_utf8" if bad_id else "null_doc_id"
    if not doc_id.strip():
        return "blank_doc_id"
    if bad_text or text is None:
        return "invalid_utf8" if bad_text else "null_text"
    return "invalid_utf8" if decoded(entry.get("title"))[1] else None


def _add(
    pairs: list[Pair],
    rejections: list[Rejection],
    row: Row,
    entries: Sequence[Row | None],
    known: Sequence[str | None],
    fault: str | None,
) -> None:
    """One query's pairs and rejections. `known` are faults of the entries that count before their own."""
    query_id, query = decoded(row["query_id"])[0], decoded(row["query"])[0]
    if fault:
        rejections.append(Rejection(query_id, None, len(entries), fault))
        return
    assert query_id is not None
    assert query is not None
    good: dict[str, Row] = {}
    for entry, before in zip(entries, known, strict=True):
        doc_id = None if entry is None else decoded(entry["doc_id"])[0]
        reason = before or _entry_fault(entry) or ("duplicate_doc_id" if doc_id in good else None)
        if reason:
            rejections.append(Rejection(query_id, doc_id, None, reason))
        else:
            assert entry is not None
            assert doc_id is not None
            good[doc_id] = entry
    for rank, (doc_id, entry) in _in_first_stage_order(good):
        title, text = decoded(entry.get("title"))[0], decoded(entry["text"])[0]
        assert text is not None
        pairs.append(Pair(query_id, doc_id, query, f"{title} {text}" if title else text, rank))


def _in_first_stage_order(listed: Mapping[str, Row]) -> Iterable[tuple[int, tuple[str, Row]]]:
    """By rank where all have one, else by score with ties by id, both descending, else as given; counted from 1."""
    items = list(listed.items())
    if all(entry.get("rank") is not None for _, entry in items):
        items.sort(key=lambda item: item[1]["rank"])
        return enumerate(items, start=1)

    def score(entry: Row) -> float | None:
        value = entry.get("score")
        return None if value is None or math.isnan(value) else float(value)

    if any(score(entry) is not None for _, entry in items):
        items.sort(key=lambda item: item[0].encode(), reverse=True)
        items.sort(key=lambda item: -math.inf if (value := score(item[1])) is None else value, reverse=True)
        items.sort(key=lambda item: score(item[1]) is None)
    return enumerate(items, start=1)
