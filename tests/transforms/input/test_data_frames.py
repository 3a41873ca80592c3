"""Files as pandas, Polars and DuckDB write them: every type of a column that is kept comes back as it was."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pandas as pd
import pytest

from tests.support.input_files import pairs, read, rejected
from transforms.base.errors import UserError
from transforms.input.inputs import inspect
from transforms.input.regroup import regroup

DAY = datetime.date(2020, 1, 2)
MOMENT = datetime.datetime(2020, 1, 2, 3, 4, 5, 6)
SPAN = datetime.timedelta(days=1)
LAYOUTS = ["flat", "nested", "regrouped"]
# Two values of each type; in the flat layout their pairs stand together, to be regrouped they stand twice and apart.
PANDAS: dict[str, list[Any]] = {
    "object": ["a", None],
    "str": ["a", None],
    "string": ["a", None],
    "category": ["a", None],
    "Int64": [1, None],
    "UInt8": [1, None],
    "boolean": [True, None],
    "float32": [1.5, 2.0],
    "datetime64[ms]": [MOMENT.replace(microsecond=0), None],
    "datetime64[us]": [MOMENT, None],
    "datetime64[ns]": [MOMENT, None],
    "timedelta64[ns]": [SPAN, None],
    "object of lists": [["a", None], None],
    "object of dicts": [{"a": 1}, None],
    "object of decimals": [Decimal("1.50"), None],
    "object of days": [DAY, None],
    "object of times": [datetime.time(1, 2), None],
    "object of bytes": [b"\xff", None],
    "object of None": [None, None],
}
POLARS: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
    "String": (lambda pl: pl.String, ["a", None]),
    "Categorical": (lambda pl: pl.Categorical, ["a", None]),
    "Enum": (lambda pl: pl.Enum(["a", "b"]), ["a", None]),
    **{
        f"{sign}Int{bits}": (attrgetter(f"{sign}Int{bits}"), [1, None])
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
    **{f"Float{bits}": (attrgetter(f"Float{bits}"), [1.5, None]) for bits in (32, 64)},
    "Decimal": (lambda pl: pl.Decimal(10, 2), [Decimal("1.50"), None]),
    "Date": (lambda pl: pl.Date, [DAY, None]),
    "Time": (lambda pl: pl.Time, [datetime.time(1, 2), None]),
    **{f"Datetime {unit}": (methodcaller("Datetime", unit), [MOMENT, None]) for unit in ("us", "ns")},
    **{f"Duration {unit}": (methodcaller("Duration", unit), [SPAN, None]) for unit in ("ms", "us", "ns")},
    "Binary": (lambda pl: pl.Binary, [b"\xff", None]),
    "Boolean": (lambda pl: pl.Boolean, [True, None]),
    "List": (lambda pl: pl.List(pl.String), [["a", None], None]),
    "List of Categorical": (lambda pl: pl.List(pl.Categorical), [["a", None], None]),
    "Array": (lambda pl: pl.Array(pl.Float32, 2), [[1.0, 2.0], None]),
    "Struct": (lambda pl: pl.Struct({"a": pl.Int64, "b": pl.Categorical}), [{"a": 1, "b": "x"}, None]),
    "Null": (lambda pl: pl.Null, [None, None]),
}
DUCKDB: dict[str, tuple[str, Any]] = {
    **dict.fromkeys(("TINYINT", "USMALLINT", "INTEGER", "UBIGINT"), ("1", 1)),
    "BOOLEAN": ("true", True),
    "HUGEINT": ("1", 1.0),
    "FLOAT": ("1.5", 1.5),
    "DECIMAL(38,2)": ("1.5", Decimal("1.50")),
    "VARCHAR": ("'a'", "a"),
    "BLOB": (r"'\xFF'", b"\xff"),
    "DATE": ("'2020-01-02'", DAY),
    "TIME": ("'01:02:00'", datetime.time(1, 2)),
    "TIMESTAMP": ("'2020-01-02 03:04:05.000006'", MOMENT),
    "TIMESTAMP_NS": ("'2020-01-02 03:04:05.000006'", MOMENT),
    "TIMESTAMPTZ": ("'2020-01-02 03:04:05.000006+00'", MOMENT.replace(tzinfo=datetime.UTC)),
    "UUID": ("'00000000-0000-0000-0000-00000000000a'", UUID(int=10)),
    "JSON": ("'[1]'", "[1]"),
    "ENUM('a','b')": ("'a'", "a"),
    "VARCHAR[]": ("['a', NULL]", ["a", None]),
    "STRUCT(a INTEGER, b VARCHAR)": ("{'a': 1, 'b': 'x'}", {"a": 1, "b": "x"}),
    "MAP(VARCHAR, INTEGER)": ("MAP {'a': 1}", [("a", 1)]),
}


def rows(values: list[Any], layout: str) -> list[dict[str, Any]]:
    carried = values * 2 if layout == "regrouped" else values
    ids = ["q", "r", "q", "r"] if layout == "regrouped" else ["q", "q"]
    return [
        {"query_id": query, "query": "?", "doc_id": f"d{i}", "text": "t", "kept": value}
        for i, (query, value) in enumerate(zip(ids, carried, strict=True))
    ]


def carried(path: Path, layout: str) -> list[Any]:
    """The kept column as it is carried, in the order of the documents."""
    paths = [str(path)]
    if layout == "regrouped":
        paths = regroup(inspect(paths, ["kept"]), str(path.parent / "out"), ["kept"])
    shards = read(*paths, keep_columns=["kept"])
    assert rejected(shards) == []
    return [value for _, _, value in sorted(pairs(shards, "keep.kept"), key=lambda each: str(each[1]))]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", PANDAS)
def test_columns_of_pandas(kind: str, layout: str, tmp_path: Path) -> None:
    values = PANDAS[kind]
    entries = rows(values, layout)
    if layout == "nested":
        frame = pd.DataFrame({"query_id": ["q"], "query": ["?"], "candidates": [entries]})
    else:
        column: Any = pd.Series([row["kept"] for row in entries], dtype=kind.split(" of ")[0])
        frame = pd.DataFrame([{**row, "kept": None} for row in entries]).assign(kept=column)
    frame.to_parquet(tmp_path / "a.parquet")
    assert carried(tmp_path / "a.parquet", layout) == [row["kept"] for row in entries]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", POLARS)
def test_columns_of_polars(kind: str, layout: str, tmp_path: Path) -> None:
    pl: Any = pytest.importorskip("polars")
    type_of, values = POLARS[kind]
    schema = dict.fromkeys(("query_id", "query", "doc_id", "text"), pl.String)
    schema["kept"] = type_of(pl)
    entries = rows(values, layout)
    if layout == "nested":
        inner = pl.List(pl.Struct({name: schema[name] for name in ("doc_id", "text", "kept")}))
        inner_entries = [{name: row[name] for name in ("doc_id", "text", "kept")} for row in entries]
        frame = pl.DataFrame(
            {"query_id": ["q"], "query": ["?"], "candidates": [inner_entries]},
            schema={"query_id": pl.String, "query": pl.String, "candidates": inner},
        )
    else:
        frame = pl.DataFrame(entries, schema=schema)
    frame.write_parquet(tmp_path / "a.parquet")
    assert carried(tmp_path / "a.parquet", layout) == [row["kept"] for row in entries]


def test_integers_of_128_bits_are_refused_in_one_line(tmp_path: Path) -> None:
    pl: Any = pytest.importorskip("polars")
    pl.DataFrame(rows([1, 2], "flat")).with_columns(pl.col("kept").cast(pl.Int128)).write_parquet(
        tmp_path / "a.parquet"
    )
    with pytest.raises(UserError, match=r"a\.parquet: its Parquet footer cannot be read: [^\n]*64 bits[^\n]*$"):
        inspect([str(tmp_path / "a.parquet")])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", DUCKDB)
def test_columns_of_duckdb(kind: str, layout: str, tmp_path: Path) -> None:
    written, value = DUCKDB[kind]
    entries = rows([value, None], layout)
    pairs_of = " UNION ALL ".join(
        f"SELECT '{row['query_id']}' AS query_id, '?' AS query, '{row['doc_id']}' AS doc_id, 't' AS text, "
        f"({'NULL' if row['kept'] is None else written})::{kind} AS kept"
        for row in entries
    )
    if layout == "nested":
        entry = "{'doc_id': doc_id, 'text': text, 'kept': kept}"
        pairs_of = f"SELECT 'q' AS query_id, '?' AS query, list({entry}) AS candidates FROM ({pairs_of})"
    duckdb.sql(f"COPY ({pairs_of}) TO '{tmp_path / 'a.parquet'}' (FORMAT parquet)")
    assert carried(tmp_path / "a.parquet", layout) == [row["kept"] for row in entries]
