from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.input_files import pairs, read, rejected, write_noted
from transforms.input.columns import resolve
from transforms.input.inputs import inspect
from transforms.input.parquet import of_footer, read_footer
from transforms.input.plan import plan
from transforms.input.regroup import regroup

DAY = datetime.date(2020, 1, 2)
MOMENT = datetime.datetime(2020, 1, 2, 3, 4, 5)
UNITS = ("s", "ms", "us", "ns")
FIXED = pa.list_(pa.int64(), 2)
WORDS = pa.dictionary(pa.int32(), pa.string())

# Every type that pyarrow 25 writes to Parquet, with values; None stands among them. What is written in another type
# (large strings as strings, days in milliseconds as days) is so in what pyarrow itself reads back.
TYPES: list[tuple[pa.DataType, list[Any]]] = [
    (pa.null(), [None, None]),
    (pa.bool_(), [True, False]),
    *((pa.type_for_alias(f"{sign}int{bits}"), [1, 7]) for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *((kind, [1.5, -2.0]) for kind in (pa.float16(), pa.float32(), pa.float64())),
    *(
        (kind, [Decimal("1.50"), Decimal("-2.00")])
        for kind in (pa.decimal32(5, 2), pa.decimal64(12, 2), pa.decimal128(20, 2), pa.decimal256(50, 2))
    ),
    *((kind, [DAY, datetime.date(9999, 12, 31)]) for kind in (pa.date32(), pa.date64())),
    *((kind, [datetime.time(1, 2, 3), datetime.time(0)]) for kind in (pa.time32("s"), pa.time32("ms"))),
    *((kind, [datetime.time(1, 2, 3), datetime.time(0)]) for kind in (pa.time64("us"), pa.time64("ns"))),
    *((pa.timestamp(unit, zone), [MOMENT, MOMENT]) for unit in UNITS for zone in (None, "UTC", "Europe/Berlin")),
    *((pa.duration(unit), [datetime.timedelta(seconds=5), datetime.timedelta(days=-1)]) for unit in UNITS),
    *((kind, ["a", "é"]) for kind in (pa.string(), pa.large_string())),
    *((kind, [b"ab", b"\xff\x00"]) for kind in (pa.binary(), pa.large_binary(), pa.binary(2))),
    (WORDS, ["a", "b"]),
    (pa.dictionary(pa.int8(), pa.large_string()), ["a", "b"]),
    (pa.dictionary(pa.int32(), pa.string(), ordered=True), ["a", "b"]),
    (pa.dictionary(pa.int32(), pa.int64()), [1, 2]),
    (pa.dictionary(pa.int32(), pa.float64()), [1.5, 2.5]),
    (pa.dictionary(pa.int32(), pa.binary()), [b"a", b"\xff"]),
    *((make(pa.int64()), [[1, None], []]) for make in (pa.list_, pa.large_list, pa.list_view, pa.large_list_view)),
    (pa.list_(pa.large_string()), [["a", None], []]),
    (pa.list_(WORDS), [["a", None], ["b", "a"]]),
    (pa.list_(pa.null()), [[None, None], []]),
    (FIXED, [[1, 2], [3, None]]),
    (pa.list_(FIXED), [[[1, 2], None], []]),
    (pa.large_list(FIXED), [[[1, 2], None], []]),
    (pa.list_(FIXED, 2), [[[1, 2], None], [None, [3, 4]]]),
    (pa.struct([("a", FIXED)]), [{"a": [1, 2]}, {"a": None}]),
    (pa.struct([("a", pa.int64()), ("b", pa.string())]), [{"a": 1, "b": "x"}, {"a": None, "b": None}]),
    (pa.struct([("a", pa.string()), ("b", pa.null())]), [{"a": "x", "b": None}, {"a": None, "b": None}]),
    (pa.struct([("a", WORDS)]), [{"a": "x"}, {"a": None}]),
    (pa.list_(pa.struct([("a", pa.null())])), [[{"a": None}, {"a": None}], []]),
    (pa.map_(pa.string(), pa.int64()), [[("a", 1)], []]),
    (pa.map_(pa.string(), WORDS), [[("a", "b")], []]),
    (pa.uuid(), [b"0123456789abcdef", b"fedcba9876543210"]),
    (pa.json_(), ["{}", "[1]"]),
    (pa.bool8(), [1, 0]),
    (pa.opaque(pa.binary(), "kind", "vendor"), [b"a", b"b"]),
    (pa.fixed_shape_tensor(pa.int32(), [2]), [[1, 2], [3, 4]]),
]

STRING, VIEW = pa.string(), pa.string_view()
# Views, which pyarrow reads but writes in part: as they are noted, as they are stored, and values.
VIEWS: list[tuple[pa.DataType, pa.DataType, list[Any]]] = [
    (VIEW, STRING, ["a", "é"]),
    (pa.binary_view(), pa.binary(), [b"ab", b"\xff\x00"]),
    *((make(VIEW), make(STRING), [["a", None], []]) for make in (pa.list_, pa.large_list, pa.list_view)),
    (pa.list_(pa.binary_view()), pa.list_(pa.binary()), [[b"a", None], []]),
    (pa.list_(pa.list_(VIEW)), pa.list_(pa.list_(STRING)), [[["a"], None], []]),
    (pa.list_(VIEW, 1), pa.list_(STRING, 1), [["a"], [None]]),
    (pa.struct([("a", VIEW)]), pa.struct([("a", STRING)]), [{"a": "x"}, {"a": None}]),
    (
        pa.list_(pa.struct([("a", VIEW), ("b", pa.null())])),
        pa.list_(pa.struct([("a", STRING), ("b", pa.null())])),
        [[{"a": "x", "b": None}] * 2, []],
    ),
    (pa.map_(VIEW, VIEW), pa.map_(STRING, STRING), [[("a", "b")], []]),
]
CASES = [*((data_type, data_type, values) for data_type, values in TYPES), *VIEWS]


def array_of(data_type: pa.DataType, values: list[Any]) -> pa.Array:
    if isinstance(data_type, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(data_type, pa.array(values, data_type.storage_type))
    if pa.types.is_dictionary(data_type):
        return pa.array(values, data_type.value_type).dictionary_encode().cast(data_type)
    return pa.array(values, data_type)


def flat(path: Path, kept: pa.Array, noted: pa.DataType, rows: int = 3, queries: int | None = None) -> str:
    """A pair a value, two for a query, in row groups of so many rows."""
    n = len(kept)
    ids = [f"q{i // 2 if queries is None else i % queries}" for i in range(n)]
    table = pa.table({"query_id": ids, "query": ids, "doc_id": [f"d{i}" for i in range(n)], "text": ids})
    schema = table.schema.append(pa.field("kept", noted))
    return write_noted(path, table.append_column("kept", kept), schema, rows)


def scattered(path: Path, kept: pa.Array, noted: pa.DataType, rows: int = 3) -> str:
    """The same, where a query's pairs stand apart."""
    return flat(path, kept, noted, rows, queries=4)


def nested(path: Path, kept: pa.Array, noted: pa.DataType, rows: int = 2) -> str:
    n = len(kept)
    entries = pa.StructArray.from_arrays(
        [pa.array([f"d{i}" for i in range(n)]), pa.array(["text"] * n), kept], names=["doc_id", "text", "kept"]
    )
    ids = [f"q{i}" for i in range(n // 2)]
    lists = pa.ListArray.from_arrays(pa.array(range(0, n + 1, 2), pa.int32()), entries)
    table = pa.table({"query_id": ids, "query": ids, "candidates": lists})
    inner = pa.struct([("doc_id", STRING), ("text", STRING), ("kept", noted)])
    return write_noted(path, table, table.schema.set(2, pa.field("candidates", pa.list_(inner))), rows)


@pytest.mark.parametrize(("noted", "data_type", "values"), CASES, ids=[str(noted) for noted, *_ in CASES])
@pytest.mark.parametrize("layout", ["flat", "nested", "regrouped"])
def test_every_type_that_parquet_holds_is_carried(
    noted: pa.DataType, data_type: pa.DataType, values: list[Any], layout: str, tmp_path: Path
) -> None:
    kept = array_of(data_type, [values[0], None, values[1], values[0], None, None, values[1], values[1]])
    write = nested if layout == "nested" else flat if layout == "flat" else scattered
    path = write(tmp_path / "a.parquet", kept, noted)
    # What pyarrow reads of the column alone; in Parquet's own types, in which pyarrow before 26 reads all there are.
    pq.write_table(pa.table({"kept": kept}), tmp_path / "alone.parquet", store_schema=False)
    expected = pq.read_table(tmp_path / "alone.parquet")["kept"].to_pylist()

    paths = [path]
    if layout == "regrouped":
        files = inspect(paths, ["kept"])
        assert not plan(files).contiguous
        paths = regroup(files, str(tmp_path / "out"), ["kept"])
    shards = read(*paths, keep_columns=["kept"])
    assert rejected(shards) == []
    carried = {doc_id: value for _, doc_id, value in pairs(shards, "keep.kept")}
    if pa.types.is_duration(data_type):
        unit = {"s": 1_000_000, "ms": 1000, "us": 1, "ns": 0.001}[data_type.unit]
        expected = [None if value is None else datetime.timedelta(microseconds=value * unit) for value in expected]
    assert carried == {f"d{i}": value for i, value in enumerate(expected)}
    # It can be written and read again, as a job does at its end.
    (written,) = {shard.pairs.schema.field("keep.kept").type for shard in shards}
    pq.write_table(pa.concat_tables([shard.pairs for shard in shards]), tmp_path / "written.parquet")
    again = pq.read_table(tmp_path / "written.parquet").select(["doc_id", "keep.kept"])
    assert {row["doc_id"]: row["keep.kept"] for row in again.to_pylist()} == carried
    # What was checked before the job began is what is written.
    assert resolve(of_footer(path, read_footer(path)), ["kept"]).candidate["kept"] == written


FOR_EVER = [datetime.datetime(9999, 12, 31, 23, 59, 59, 999999), None, datetime.datetime(1, 1, 1), MOMENT] * 2


@pytest.mark.parametrize("note", [True, False])
@pytest.mark.parametrize("layout", ["flat", "nested", "regrouped"])
def test_timestamps_of_impala_and_spark_reach_the_year_9999(layout: str, note: bool, tmp_path: Path) -> None:
    """In INT96, where pyarrow by default wraps the years that nanoseconds cannot hold: 9999 becomes 1816."""
    kept = pa.array(FOR_EVER, pa.timestamp("us"))
    write = {"flat": flat, "nested": nested, "regrouped": scattered}[layout]
    path = write(tmp_path / "a.parquet", kept, kept.type)
    table = pq.read_table(path)
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, row_group_size=3, store_schema=note)
    paths = [path]
    if layout == "regrouped":
        paths = regroup(inspect(paths, ["kept"]), str(tmp_path / "out"), ["kept"])
    shards = read(*paths, keep_columns=["kept"])
    assert {doc_id: value for _, doc_id, value in pairs(shards, "keep.kept")} == {
        f"d{i}": value for i, value in enumerate(FOR_EVER)
    }
    assert {shard.pairs.schema.field("keep.kept").type for shard in shards} == {pa.timestamp("us")}
    assert resolve(of_footer(path, read_footer(path)), ["kept"]).candidate["kept"] == pa.timestamp("us")
    # DuckDB, which reads INT96 by itself, sees the same.
    column = "candidates[1].kept" if layout == "nested" else "kept"
    assert duckdb.execute(f"SELECT max({column}) FROM '{path}'").fetchall() == [(FOR_EVER[0],)]


def test_json_and_uuid_of_duckdb_are_carried_in_the_type_that_was_checked(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    uuid = "00000000-0000-0000-0000-00000000000a"
    duckdb.sql(
        f"COPY (SELECT 'q' AS query_id, '?' AS query, 'd' AS doc_id, '{{}}'::JSON AS text, '[1]'::JSON AS j, "
        f"'{uuid}'::UUID AS u) TO '{path}' (FORMAT parquet)"
    )
    (shard,) = read(path, keep_columns=["j", "u"])
    assert [(text, str(j), str(u)) for *_, text, j, u in pairs([shard], "text", "keep.j", "keep.u")] == [
        ("{}", "[1]", uuid)
    ]
    checked = resolve(of_footer(path, read_footer(path)), ["j", "u"]).candidate
    assert [shard.pairs.schema.field(f"keep.{name}").type for name in "ju"] == [checked["j"], checked["u"]]


NARROW = pa.dictionary(pa.int8(), pa.string())
NESTED: dict[str, tuple[pa.DataType, pa.DataType, Any]] = {
    "list": (pa.list_(NARROW), pa.list_(STRING), lambda word: [word]),
    "struct": (pa.struct([("a", NARROW)]), pa.struct([("a", STRING)]), lambda word: {"a": word}),
    "map": (pa.map_(STRING, NARROW), pa.map_(STRING, STRING), lambda word: [("k", word)]),
}


@pytest.mark.parametrize(("noted", "stored", "made"), NESTED.values(), ids=NESTED)
@pytest.mark.parametrize("layout", ["flat", "nested", "regrouped"])
def test_values_beyond_what_their_dictionary_counts_are_carried(
    noted: pa.DataType, stored: pa.DataType, made: Any, layout: str, tmp_path: Path
) -> None:
    """In the first row group the dictionary is as its type says."""
    values = [made(f"v{i // 100}") for i in range(600)] + [made(f"v{i}") for i in range(600)]
    write = {"flat": flat, "nested": nested, "regrouped": scattered}[layout]
    path = write(tmp_path / "a.parquet", pa.array(values, stored), noted, 300)
    paths = [path]
    if layout == "regrouped":
        paths = regroup(inspect(paths, ["kept"]), str(tmp_path / "out"), ["kept"])
    shards = read(*paths, keep_columns=["kept"])
    assert rejected(shards) == []
    assert {doc_id: value for _, doc_id, value in pairs(shards, "keep.kept")} == {
        f"d{i}": value for i, value in enumerate(values)
    }
    (carried,) = {shard.pairs.schema.field("keep.kept").type for shard in shards}
    assert "dictionary" not in str(carried)
