"""JSON lines: pairs, or queries with lists of candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import pyarrow as pa

from transforms.base.errors import UserError, one_line
from transforms.base.json_lines import read_objects, whole
from transforms.input.names import OF_CANDIDATE, ColumnNames

# Of the first objects the columns and the types of those to keep are taken; as many are in memory at once.
_ROWS = 4096
_Row = dict[str, Any]
_Where = tuple[str, _Row]


def _identifier(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(value)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return whole(value)
    raise ValueError("not text")


def _score(value: Any) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return None if value is None else float(value)
    raise ValueError("not a number")


def _rank(value: Any) -> int | None:
    number = _score(value)
    if number is None:
        return None
    if not number.is_integer() or abs(number) >= 1 << 63:
        raise ValueError("not a whole number")
    return int(number)


# Field -> its type, and how a value becomes one of it.
_KINDS: dict[str, tuple[pa.DataType, Callable[[Any], Any]]] = {
    "query_id": (pa.string(), _identifier),
    "doc_id": (pa.string(), _identifier),
    "score": (pa.float64(), _score),
    "rank": (pa.int64(), _rank),
    **{name: (pa.string(), _text) for name in ("query", "text", "title", "instruction")},
}


def read(path: str, names: ColumnNames) -> Iterator[pa.RecordBatch]:
    """The rows of a file, flat or nested, a little at a time. A whole number as an id is its digits.

    Raises:
        UserError: the file cannot be read, lacks a column, or a value is of another kind.
    """
    chunks = _chunks(read_objects(path))
    first = next(chunks, None)
    if first is None:
        raise UserError(f"{path}: no line in it; give one object a line")
    shape = _Shape(path, names, [row for _, row in first])
    yield from map(shape.batch, chain([first], chunks))


def _chunks(rows: Iterable[_Where]) -> Iterator[list[_Where]]:
    held: list[_Where] = []
    for row in rows:
        held.append(row)
        if len(held) == _ROWS:
            yield held
            held = []
    if held:
        yield held


class _Shape:
    """What the first rows of a file show of its columns."""

    def __init__(self, path: str, names: ColumnNames, rows: list[_Row]) -> None:
        top = _keys(rows)
        self._outer = _all(names, names.fields(top), names.find(names.fields(top), top, path))
        self._nested = "candidates" in self._outer
        kept: dict[str, Iterable[_Row]] = {name: rows for name in names.keep if name in top}
        if self._nested:
            entries = [
                entry
                for row in rows
                for entry in _listed(row.get(self._outer["candidates"]))
                if isinstance(entry, dict)
            ]
            inner = _keys(entries)
            of_candidate = names.find(OF_CANDIDATE, inner, path) if entries else {}
            self._inner = _all(names, OF_CANDIDATE, of_candidate)
            kept = {name: entries for name in names.keep if name in inner} | kept
            top = [*top, *inner]
        names.check_kept(top, path)
        self._types = {name: _type_of(name, given) for name, given in kept.items()}
        self.schema = pa.schema([(name, self._type(name)) for name in self._outer])

    def _type(self, name: str) -> pa.DataType:
        if name == "candidates":
            return pa.list_(pa.struct([(inner, self._type(inner)) for inner in self._inner]))
        return self._types[name] if name in self._types else _KINDS[name][0]

    def batch(self, rows: list[_Where]) -> pa.RecordBatch:
        """Some rows as Arrow has them."""
        made = [self._row(where, row) for where, row in rows]
        try:
            return pa.RecordBatch.from_pylist(made, schema=self.schema)
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise UserError(
                f"{rows[0][0]} and those after it: a column to keep is not of one type ({one_line(error)}); fix it, "
                "or leave it out"
            ) from None

    def _row(self, where: str, row: _Row) -> _Row:
        made = _fields(where, row, self._outer)
        if self._nested and made["candidates"] is not None:
            lists = made["candidates"]
            if not isinstance(lists, list):
                raise UserError(f"{where}: {self._outer['candidates']} is no list; fix the line")
            made["candidates"] = [_candidate(where, entry, self._inner) for entry in lists]
        return made


def _all(names: ColumnNames, fields: Iterable[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """With the fields that the first rows lack, which later ones may have."""
    return {name: names.accepted(name)[0] for name in fields} | dict(chosen)


def _candidate(where: str, entry: Any, columns: Mapping[str, str]) -> _Row | None:
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise UserError(f"{where}: a candidate is {str(entry)[:40]!r} and no object; give doc_id and text of each")
    return _fields(where, entry, columns)


def _fields(where: str, row: _Row, columns: Mapping[str, str]) -> _Row:
    made = {}
    for name, column in columns.items():
        value = row.get(column)
        try:
            made[name] = _KINDS[name][1](value) if name in _KINDS else value
        except (ValueError, OverflowError) as error:
            raise UserError(f"{where}: {column} is {str(value)[:40]!r}, {one_line(error)}; fix the line") from None
    return made


def _keys(rows: Iterable[_Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _type_of(name: str, rows: Iterable[_Row]) -> pa.DataType:
    """Of a column to keep, by the values of the first rows."""
    try:
        kind = pa.array([row.get(name) for row in rows]).type
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return pa.string()
    return pa.string() if pa.types.is_null(kind) else kind
