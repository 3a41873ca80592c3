from __future__ import annotations

import base64
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.input_files import (
    candidate,
    count,
    flat_table,
    nested_table,
    pair,
    pairs,
    query,
    read,
    rejected,
    write,
    write_noted,
)
from transforms.base.errors import UserError
from transforms.input.inputs import inspect
from transforms.input.regroup import regroup

LISTS = [pa.list_, pa.large_list, pa.list_view, pa.large_list_view]
STRINGS = [
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int32(), pa.string()),
    pa.dictionary(pa.int8(), pa.large_string()),
]


def test_integer_ids(tmp_path: Path) -> None:
    table = flat_table([pair(-7, 2**64 - 1), pair(-7, None), pair(None, 1)], query_id=pa.int16(), doc_id=pa.uint64())
    shards = read(write(tmp_path / "a.parquet", table))
    assert pairs(shards) == [("-7", "18446744073709551615")]
    assert rejected(shards, "query_id") == [("null_doc_id", "-7"), ("null_query_id", None)]


@pytest.mark.parametrize("data_type", [pa.decimal32(5, 2), pa.decimal128(10, 3), pa.decimal256(50, 3)], ids=str)
def test_decimal_scores_are_numbers(data_type: pa.DataType, tmp_path: Path) -> None:
    scores = pa.array([Decimal("0.5"), None, Decimal("1.25")], data_type)
    table = flat_table([pair("a", "1"), pair("a", "2"), pair("a", "3")]).append_column("score", scores)
    shards = read(write(tmp_path / "a.parquet", table))
    assert [row[2:] for row in pairs(shards, "doc_id", "first_stage_score")] == [("3", 1.25), ("1", 0.5), ("2", None)]


@pytest.mark.parametrize("data_type", STRINGS, ids=str)
def test_encodings_of_string(data_type: pa.DataType, tmp_path: Path) -> None:
    rows = [pair("a", "1", "x", title="T", lang="de"), pair("a", "2", "y", title=None, lang=None), pair(None, "3")]
    table = flat_table(rows, lang=pa.string())
    encoded = pa.table({name: table[name].combine_chunks().cast(data_type) for name in table.column_names})
    shards = read(write(tmp_path / "a.parquet", encoded), keep_columns=["lang"])
    assert pairs(shards, "text", "keep.lang") == [("a", "1", "T x", "de"), ("a", "2", "y", None)]
    assert rejected(shards) == [("null_query_id",)]
    assert shards[0].pairs.schema.field("keep.lang").type == pa.string()


@pytest.mark.parametrize("data_type", STRINGS, ids=str)
@pytest.mark.parametrize("list_type", LISTS, ids=lambda list_type: list_type.__name__)
def test_encodings_of_lists(list_type: Any, data_type: pa.DataType, tmp_path: Path) -> None:
    table = nested_table([query("a", [candidate("1", "x"), None]), query("b", None), query("c", [candidate("1", "y")])])
    fields = pa.struct([("doc_id", data_type), ("text", data_type)])
    schema = pa.schema([("query_id", data_type), ("query", data_type), ("candidates", list_type(fields))])
    # Arrow cannot write all of these, but reads what others wrote with this note on their types.
    note = base64.b64encode(schema.serialize().to_pybytes()).decode()
    path = tmp_path / "a.parquet"
    options = f"FORMAT parquet, KV_METADATA {{\"ARROW:schema\": '{note}'}}"
    duckdb.from_arrow(table).query("rows", f"COPY rows TO '{path}' ({options})")
    shards = read(str(path))
    assert pairs(shards, "text") == [("a", "1", "x"), ("c", "1", "y")]
    assert rejected(shards, "query_id") == [("null_candidate", "a"), ("null_candidates", "b")]


def test_lists_of_fixed_size(tmp_path: Path) -> None:
    table = nested_table([query("a", [candidate("1"), candidate("2")]), query("b", [candidate("1"), candidate("2")])])
    fixed = table["candidates"].combine_chunks().cast(pa.list_(table.schema.field("candidates").type.value_type, 2))
    shards = read(write(tmp_path / "a.parquet", table.set_column(2, "candidates", fixed)))
    assert pairs(shards) == [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")]


@pytest.mark.parametrize("candidates", [[[], None, [None]], [None, None, None]])
def test_lists_whose_entries_have_no_type(candidates: list[Any], tmp_path: Path) -> None:
    table = pa.table({"query_id": ["a", "b", "c"], "query": ["?"] * 3, "candidates": candidates})
    shards = read(write(tmp_path / "a.parquet", table), keep_columns=["lang"])
    nulls = [("null_candidates", "b"), ("null_candidate", "c")]
    everything_null = [("null_candidates", query_id) for query_id in "abc"]
    assert rejected(shards, "query_id") == (nulls if candidates[0] == [] else everything_null)
    assert count(shards, "empty_lists") == (candidates[0] == [])
    assert shards[0].pairs.column_names[-1] == "keep.lang"


@pytest.mark.parametrize("rows", [1, 3])
def test_fields_that_are_null_in_every_entry(tmp_path: Path, rows: int) -> None:
    """Table.from_pylist, pandas and datasets write them with Parquet's Null type."""
    entries = [{"doc_id": str(i), "text": f"t{i}", "title": None, "score": None, "rank": None} for i in range(5)]
    table = pa.Table.from_pylist([{"query_id": str(i), "query": "q", "candidates": entries} for i in range(rows)])
    assert table.schema.field("candidates").type.value_type.field("title").type == pa.null()
    path = write(tmp_path / "a.parquet", table)
    (shard,) = read(path)
    assert shard.rejected.num_rows == 0
    assert shard.pairs["text"].to_pylist() == ["t0", "t1", "t2", "t3", "t4"] * rows
    assert shard.pairs["first_stage_score"].null_count == 5 * rows


def test_optional_columns_without_a_type(tmp_path: Path) -> None:
    names = ("instruction", "title", "score", "rank")
    table = flat_table([pair("q", "1")])
    for name in names:
        table = table.append_column(name, pa.nulls(1))
    shards = read(write(tmp_path / "a.parquet", table), keep_columns=["title"])
    columns = ("text", "first_stage_rank", "first_stage_score", "keep.title")
    assert pairs(shards, *columns) == [("q", "1", "text", 1, None, None)]


@pytest.mark.parametrize("column", ["query_id", "query", "doc_id", "text"])
def test_required_columns_without_a_type(column: str, tmp_path: Path) -> None:
    table = flat_table([pair("q", "1")])
    table = table.set_column(table.schema.get_field_index(column), column, pa.nulls(1))
    assert rejected(read(write(tmp_path / "a.parquet", table))) == [(f"null_{column}",)]


def test_kept_columns(tmp_path: Path) -> None:
    rows = [
        query("a", [candidate("1", title="T", fault={"x": 1}), candidate("2")], detail=[1, 2]),
        query("b", [candidate("1", title="U", fault=None)], detail=None),
    ]
    table = nested_table(rows, fault=pa.struct([("x", pa.int8())]), detail=pa.list_(pa.int64()))
    (shard,) = read(write(tmp_path / "a.parquet", table), keep_columns=["fault", "detail", "query", "text"])
    assert shard.queries.column_names == ["query_id", "query", "instruction", "n_pairs", "keep.detail", "keep.query"]
    assert shard.queries["keep.detail"].to_pylist() == [[1, 2], None]
    assert shard.pairs.column_names[-3:] == ["source_row", "keep.fault", "keep.text"]
    assert shard.pairs["keep.fault"].to_pylist() == [{"x": 1}, None, None]
    assert shard.pairs["text"].to_pylist() == ["T text", "text", "U text"]
    assert shard.pairs["keep.text"].to_pylist() == ["text"] * 3


@pytest.mark.parametrize("rows_lost", [0, 1])
def test_lists_of_fixed_size_with_nulls(rows_lost: int, tmp_path: Path) -> None:
    """As pyarrow reads them without its own note of types, and pyarrow 26 with it."""
    lists = [[candidate(f"{i}a", "x"), candidate(f"{i}b", "y")] for i in range(5)]
    rows = [query(str(i), None if i < rows_lost else entries) for i, entries in enumerate(lists)]
    table = nested_table(rows)
    struct = table.schema.field("candidates").type.value_type
    fixed = pa.array(table["candidates"].to_pylist(), pa.list_(struct, 2))
    table = table.set_column(2, "candidates", fixed)
    path = write(tmp_path / "a.parquet", table)
    pq.write_table(table, tmp_path / "reference.parquet", store_schema=False)
    reference = pq.read_table(tmp_path / "reference.parquet").to_pylist()
    expected = [(row["query_id"], entry["doc_id"]) for row in reference for entry in row["candidates"] or []]
    shards = read(path)
    assert pairs(shards) == expected
    assert len(expected) == 10 - 2 * rows_lost
    assert rejected(shards, "query_id") == [("null_candidates", "0")] * rows_lost


def test_a_dictionary_with_more_values_than_its_type_counts(tmp_path: Path) -> None:
    """Categories may be noted in few bits; pyarrow refuses to read more values than those count, which are there."""
    texts = [f"text {i}" for i in range(300)]
    table = flat_table([pair("q", str(i), text) for i, text in enumerate(texts)])
    noted = table.schema.set(3, pa.field("text", pa.dictionary(pa.int8(), pa.string())))
    path = write_noted(tmp_path / "a.parquet", table, noted)
    with pytest.raises(pa.ArrowInvalid):
        pq.read_table(path)
    shards = read(path)
    assert [text for *_, text in pairs(shards, "text")] == texts
    assert rejected(shards) == []


@pytest.mark.parametrize("layout", ["flat", "nested", "regrouped"])
def test_columns_of_nulls_alone_have_no_type(layout: str, tmp_path: Path) -> None:
    """In every place: what a query lacks, what its candidates lack, and what is kept."""
    ids = ["a", "b", "a", "b"] if layout == "regrouped" else ["a", "a", "b", "b"]
    missing = dict.fromkeys(("title", "score", "rank", "kept"))
    if layout == "nested":
        rows = [query(q, [candidate(f"{q}{i}", "x", **missing) for i in "12"], instruction=None) for q in "ab"]
    else:
        numbers = "1122" if layout == "regrouped" else "1212"
        rows = [pair(q, f"{q}{i}", "x", instruction=None, **missing) for q, i in zip(ids, numbers, strict=True)]
    paths = [write(tmp_path / "a.parquet", pa.Table.from_pylist(rows))]
    if layout == "regrouped":
        paths = regroup(inspect(paths, ["kept"]), str(tmp_path / "out"), ["kept"])
    shards = read(*paths, keep_columns=["kept"])
    assert rejected(shards) == []
    assert sorted(pairs(shards, "text", "first_stage_score", "keep.kept")) == [
        (doc_id[0], doc_id, "x", None, None) for doc_id in ("a1", "a2", "b1", "b2")
    ]
    (kind,) = {shard.pairs.schema.field("keep.kept").type for shard in shards}
    assert pa.types.is_null(kind)


@pytest.mark.parametrize("layout", ["flat", "nested", "regrouped"])
def test_queries_without_a_text_in_any_row(layout: str, tmp_path: Path) -> None:
    ids = ["a", "b", "a", "b"] if layout == "regrouped" else ["a", "a", "b", "b"]
    rows = [pair(q, str(i)) | {"query": None} for i, q in enumerate(ids)]
    if layout == "nested":
        rows = [query(q, [candidate("1"), candidate("2")], None) for q in "ab"]
    paths = [write(tmp_path / "a.parquet", pa.Table.from_pylist(rows))]
    if layout == "regrouped":
        paths = regroup(inspect(paths), str(tmp_path / "out"))
    assert sorted(rejected(read(*paths), "query_id", "n_candidates")) == [
        ("null_query", "a", 2),
        ("null_query", "b", 2),
    ]


def test_a_codec_that_cannot_be_read_is_refused_before_the_job(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.parquet", flat_table([pair("q", "d")]), compression="snappy"))
    # In the footer's Thrift a column's codec, 1 for Snappy, stands behind its path; 3 is LZO.
    path.write_bytes(path.read_bytes().replace(b"query_id\x15\x02", b"query_id\x15\x06"))
    assert pq.read_metadata(path).row_group(0).column(0).compression == "LZO"
    with pytest.raises(
        UserError, match=r": is compressed with LZO, which pyarrow cannot read here; write it with zstd$"
    ):
        inspect([str(path)])
