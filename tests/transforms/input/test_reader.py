from __future__ import annotations

import base64
import io
import math
import random
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.input_files import (
    candidate,
    count,
    damage,
    flat_table,
    nested_table,
    pair,
    pairs,
    query,
    read,
    rejected,
    write,
)
from transforms.base.errors import UserError
from transforms.input import parquet
from transforms.input.inputs import inspect
from transforms.input.plan import plan
from transforms.input.reader import read_shards
from transforms.input.template import parse_template
from transforms.schema import REJECTED, Shard

LISTS = [pa.list_, pa.large_list, pa.list_view, pa.large_list_view]
STRINGS = [
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int32(), pa.string()),
    pa.dictionary(pa.int8(), pa.large_string()),
]


def read_nested(tmp_path: Path, *rows: Any, **options: Any) -> list[Shard]:
    return read(write(tmp_path / "nested.parquet", nested_table(rows)), **options)


def read_flat(tmp_path: Path, *rows: Any, **options: Any) -> list[Shard]:
    return read(write(tmp_path / "flat.parquet", flat_table(rows)), **options)


def sizes(shards: list[Shard]) -> list[tuple[str, bool, int]]:
    return [(shard.name, shard.last, shard.pairs.num_rows) for shard in shards]


# What a shard is


def test_a_shard(tmp_path: Path) -> None:
    first = query("a", [candidate("1", "x", score=0.5, title="T"), candidate("2", "y", score=2)], instruction="do")
    path = write(tmp_path / "a.parquet", nested_table([first, query("b", [candidate("1", "z")], "other")]))
    (shard,) = read(path)
    assert (shard.name, shard.last) == ("part-00000-00000-00000", True)
    assert shard.queries.equals(
        pa.table(
            {
                "query_id": ["a", "b"],
                "query": ["query", "other"],
                "instruction": ["do", None],
                "n_pairs": pa.array([2, 1], pa.int32()),
            }
        )
    )
    assert shard.pairs.equals(
        pa.table(
            {
                "doc_id": ["2", "1", "1"],
                "text": ["y", "T x", "z"],
                "first_stage_rank": pa.array([1, 2, 1], pa.int32()),
                "first_stage_score": [2.0, 0.5, None],
                "given_position": pa.array([1, 0, 0], pa.int32()),
                "source_file": pa.array([path] * 3).dictionary_encode(),
                "source_row": [0, 0, 1],
            }
        )
    )
    assert shard.rejected.schema.equals(REJECTED)
    assert shard.rejected.num_rows == 0
    assert shard.counts == {
        "queries": 2,
        "empty_lists": 0,
        "empty_queries": 0,
        "empty_texts": 0,
        "nan_first_stage_scores": 0,
    }


def test_the_flat_layout_gives_the_same(tmp_path: Path) -> None:
    nested = read_nested(
        tmp_path,
        query("a", [candidate("1", "x", title="T", rank=2), candidate("2", "y", rank=1)], instruction="do"),
        query("b", [candidate("1", "z", rank=1)]),
    )
    flat = read_flat(
        tmp_path,
        pair("a", "1", "x", title="T", rank=2, instruction="do"),
        pair("a", "2", "y", rank=1),
        pair("b", "1", "z", rank=1),
    )
    assert flat[0].queries.equals(nested[0].queries)
    places = ["source_file", "source_row"]
    assert flat[0].pairs.drop_columns(places).equals(nested[0].pairs.drop_columns(places))
    assert flat[0].pairs["source_row"].to_pylist() == [1, 0, 2]
    assert flat[0].counts == nested[0].counts


def test_the_text_template_is_used(tmp_path: Path) -> None:
    rows = query("a", [candidate("1", "x", title="T"), candidate("2", "y")])
    shards = read_nested(tmp_path, rows, text_template=parse_template("<{title}|{text}>"))
    assert shards[0].pairs["text"].to_pylist() == ["<T|x>", "<|y>"]


# Slices


def test_slices_hold_whole_queries(tmp_path: Path) -> None:
    lists = [[candidate(str(i)) for i in range(n)] for n in (2, 1, 1, 7, 0, 3, 2)]
    rows = [query(str(i), candidates) for i, candidates in enumerate(lists)]
    shards = read_nested(tmp_path, *rows, shard_pairs=4)
    assert sizes(shards) == [
        ("part-00000-00000-00000", False, 4),
        ("part-00000-00000-00001", False, 7),  # larger than a shard may be, but one query
        ("part-00000-00000-00002", False, 3),
        ("part-00000-00000-00003", True, 2),
    ]
    assert [count([shard], "queries") for shard in shards] == [3, 2, 1, 1]
    assert [count([shard], "empty_lists") for shard in shards] == [0, 1, 0, 0]


def test_slices_by_bytes_of_text_as_the_model_sees_it(tmp_path: Path) -> None:
    rows = [query(str(i), [candidate("d", "é" * 40, title="t" * 18)]) for i in range(4)]  # 18 + 1 + 80 bytes each
    assert [size for _, _, size in sizes(read_nested(tmp_path, *rows, shard_bytes=198))] == [2, 2]
    assert [size for _, _, size in sizes(read_nested(tmp_path, *rows, shard_bytes=197))] == [1, 1, 1, 1]


def test_rejected_rows_count_as_pairs_of_a_shard(tmp_path: Path) -> None:
    rows = [query(None, [candidate("d")]) for _ in range(5)]
    assert [shard.rejected.num_rows for shard in read_nested(tmp_path, *rows, shard_pairs=2)] == [2, 2, 1]


def test_skipped_shards_leave_the_others_as_they_are(tmp_path: Path) -> None:
    rows = [query(str(i), [candidate("d", str(i))]) for i in range(4)]
    everything = read_nested(tmp_path, *rows, shard_pairs=1)
    some = read_nested(tmp_path, *rows, shard_pairs=1, skip={everything[0].name, everything[2].name})
    assert sizes(some) == [sizes(everything)[1], sizes(everything)[3]]
    assert some[0].pairs.equals(everything[1].pairs)


@pytest.mark.parametrize("layout", ["nested", "flat"])
def test_shards_do_not_depend_on_how_much_is_read_at_once(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = [(str(q), [candidate(str(i), f"{q}-{i}", score=i % 3) for i in range(q % 7)]) for q in range(20)]
    if layout == "nested":
        table = nested_table([query(query_id, entries) for query_id, entries in lists])
    else:
        table = flat_table([pair(query_id, **entry) for query_id, entries in lists for entry in entries])
    path = write(tmp_path / "a.parquet", table, row_group_size=30)
    whole = read(path, shard_pairs=16)
    for values in (1, 5):
        monkeypatch.setattr(parquet, "_BATCH_VALUES", values)
        again = read(path, shard_pairs=16)
        assert sizes(again) == sizes(whole)
        assert all(a.pairs.equals(b.pairs) and a.queries.equals(b.queries) for a, b in zip(again, whole, strict=True))


def test_row_groups_of_one_row(tmp_path: Path) -> None:
    rows = [query(str(i), [candidate("d")]) for i in range(3)]
    path = write(tmp_path / "a.parquet", nested_table(rows), row_group_size=1)
    assert sizes(read(path)) == [(f"part-00000-{i:05d}-00000", True, 1) for i in range(3)]
    assert [row for *_, row in pairs(read(path), "source_row")] == [0, 1, 2]


@pytest.mark.parametrize("layout", ["nested", "flat"])
def test_row_groups_without_rows(layout: str, tmp_path: Path) -> None:
    table = flat_table([pair("q", "1")]) if layout == "flat" else nested_table([query("q", [candidate("1")])])
    with pq.ParquetWriter(tmp_path / "a.parquet", table.schema) as writer:
        for part in (table.slice(0, 0), table, table.slice(0, 0)):
            writer.write_table(part)
    assert pq.read_metadata(tmp_path / "a.parquet").num_row_groups == 3
    assert sizes(read(str(tmp_path / "a.parquet"))) == [("part-00000-00001-00000", True, 1)]


def test_documents_of_one_megabyte(tmp_path: Path) -> None:
    long = "wörd " * 200_000
    rows = [query(str(i), [candidate("1", long), candidate("2", "short")]) for i in range(3)]
    shards = read_nested(tmp_path, *rows, shard_bytes=2_500_000)
    assert [size for _, _, size in sizes(shards)] == [4, 2]
    assert shards[0].pairs["text"].to_pylist() == [long, "short"] * 2


# First-stage order


def order_of(tmp_path: Path, *candidates: dict[str, Any]) -> list[tuple[Any, ...]]:
    columns = ("first_stage_rank", "first_stage_score", "given_position")
    return [found[1:] for found in pairs(read_nested(tmp_path, query("q", list(candidates))), *columns)]


def test_by_rank_where_every_candidate_has_one(tmp_path: Path) -> None:
    candidates = [candidate("a", rank=30, score=9), candidate("b", rank=10, score=1), candidate("c", rank=20, score=5)]
    assert order_of(tmp_path, *candidates) == [("b", 10, 1, 1), ("c", 20, 5, 2), ("a", 30, 9, 0)]


def test_equal_ranks_stay_as_given(tmp_path: Path) -> None:
    candidates = [candidate("a", rank=1), candidate("c", rank=1), candidate("b", rank=0)]
    assert order_of(tmp_path, *candidates) == [("b", 0, None, 2), ("a", 1, None, 0), ("c", 1, None, 1)]


def test_by_score_where_a_rank_is_missing(tmp_path: Path) -> None:
    candidates = [
        candidate("a", score=1.0, rank=1),
        candidate("b", score=None, rank=2),
        candidate("c", score=2.0),
        candidate("B", score=1.0),
        candidate("é", score=1.0),
        candidate("d", score=None),
        candidate("e", score=-math.inf),
        candidate("f", score=math.inf),
    ]
    assert order_of(tmp_path, *candidates) == [
        ("f", 1, math.inf, 7),
        ("c", 2, 2.0, 2),
        ("é", 3, 1.0, 4),
        ("a", 4, 1.0, 0),
        ("B", 5, 1.0, 3),
        ("e", 6, -math.inf, 6),
        ("d", 7, None, 5),
        ("b", 8, None, 1),
    ]


def test_as_given_where_there_is_neither(tmp_path: Path) -> None:
    assert order_of(tmp_path, candidate("a"), candidate("c"), candidate("b")) == [
        ("a", 1, None, 0),
        ("c", 2, None, 1),
        ("b", 3, None, 2),
    ]


def test_a_rejected_candidate_has_no_say_in_the_order(tmp_path: Path) -> None:
    candidates = [candidate("a", rank=2), candidate("b", None, score=5), candidate("c", rank=1)]
    assert order_of(tmp_path, *candidates) == [("c", 1, None, 2), ("a", 2, None, 0)]


def test_each_query_has_its_own_order(tmp_path: Path) -> None:
    shards = read_nested(
        tmp_path,
        query("r", [candidate("a", rank=2, score=3), candidate("b", rank=1, score=2)]),
        query("s", [candidate("a", rank=2, score=3), candidate("b", score=4)]),
        query("g", [candidate("b"), candidate("a", rank=1)]),
    )
    assert pairs(shards, "first_stage_rank") == [
        ("r", "b", 1),
        ("r", "a", 2),
        ("s", "b", 1),
        ("s", "a", 2),
        ("g", "b", 1),
        ("g", "a", 2),
    ]


def test_nan_scores_are_null_and_counted(tmp_path: Path) -> None:
    rows = [candidate("a", score=math.nan), candidate("b", score=0.5), candidate("c", None, score=math.nan)]
    shards = read_nested(tmp_path, query("q", rows))
    assert pairs(shards, "first_stage_score", "first_stage_rank") == [("q", "b", 0.5, 1), ("q", "a", None, 2)]
    assert count(shards, "nan_first_stage_scores") == 1


def test_number_types(tmp_path: Path) -> None:
    table = flat_table(
        [pair("q", "a", score=2, rank=2**40), pair("q", "b", score=3, rank=1)], score=pa.int64(), rank=pa.uint64()
    )
    shards = read(write(tmp_path / "a.parquet", table))
    assert shards[0].pairs.schema.field("first_stage_score").type == pa.float64()
    # No rank is made up for one that the column cannot hold: the scores decide.
    assert pairs(shards, "first_stage_rank", "first_stage_score") == [("q", "b", 1, 3.0), ("q", "a", 2, 2.0)]


# Faults


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (query(None, [candidate("d"), None]), ("null_query_id", None, 2)),
        (query("", [candidate("d")]), ("blank_query_id", "", 1)),
        (query(" \t\n\x1f\u3000", [candidate("d")]), ("blank_query_id", " \t\n\x1f\u3000", 1)),
        (query(b"\xff", [candidate("d")]), ("invalid_utf8", None, 1)),
        (query(b"\xed\xa0\x80", [candidate("d")]), ("invalid_utf8", None, 1)),  # a lone surrogate
        (query("q", [candidate("d")] * 3, None), ("null_query", "q", 3)),
        (query("q", [candidate("d")], b"a\xc3"), ("invalid_utf8", "q", 1)),
        (query("q", [candidate("d")], instruction=b"\xff"), ("invalid_utf8", "q", 1)),
        (query("q", None), ("null_candidates", "q", 0)),
        (query("q", [], None), ("null_query", "q", 0)),
    ],
)
def test_a_query_that_cannot_be_scored(row: Any, expected: tuple[Any, ...], tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", nested_table([query("good", [candidate("d")]), row]))
    shards = read(path)
    assert rejected(shards, "query_id", "n_candidates", "doc_id", "source_file", "source_row") == [
        (*expected, None, path, 1)
    ]
    assert pairs(shards) == [("good", "d")]
    assert count(shards, "queries") == 2


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (None, ("null_candidate", None, None)),
        (candidate(None), ("null_doc_id", None, None)),
        (candidate(""), ("blank_doc_id", "", None)),
        (candidate("\u2003"), ("blank_doc_id", "\u2003", None)),
        (candidate(b"d\xfe"), ("invalid_utf8", None, "doc_id")),
        (candidate("e", None), ("null_text", "e", None)),
        (candidate("e", b"\xf0\x28"), ("invalid_utf8", "e", "text")),
        (candidate("e", title=b"\x80"), ("invalid_utf8", "e", "title")),
        (candidate("d", "again"), ("duplicate_doc_id", "d", None)),
    ],
)
def test_a_candidate_that_cannot_be_scored(entry: Any, expected: tuple[Any, ...], tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", nested_table([query("q", [candidate("d", "first"), entry])]))
    shards = read(path)
    reason, doc_id, detail = expected
    assert rejected(shards, "query_id", "doc_id", "n_candidates", "detail", "source_file", "source_row") == [
        (reason, "q", doc_id, None, detail, path, 0)
    ]
    assert pairs(shards, "text") == [("q", "d", "first")]


def test_a_bad_copy_of_a_document_does_not_cost_the_good_one(tmp_path: Path) -> None:
    shards = read_nested(tmp_path, query("q", [candidate("d", None), candidate("d", "good"), candidate("d", "late")]))
    assert pairs(shards, "text", "given_position") == [("q", "d", "good", 1)]
    assert rejected(shards, "doc_id") == [("null_text", "d"), ("duplicate_doc_id", "d")]


def test_a_document_may_be_in_many_lists(tmp_path: Path) -> None:
    assert pairs(read_nested(tmp_path, query("a", [candidate("d")]), query("b", [candidate("d")]))) == [
        ("a", "d"),
        ("b", "d"),
    ]


def test_a_title_that_is_not_read_does_no_harm(tmp_path: Path) -> None:
    rows = query("q", [candidate("d", "text", title=b"\x80")])
    assert pairs(read_nested(tmp_path, rows, text_template=parse_template("{text}")), "text") == [("q", "d", "text")]


def test_a_query_with_nothing_but_bad_candidates(tmp_path: Path) -> None:
    (shard,) = read_nested(tmp_path, query("q", [None, candidate(None)]))
    assert (shard.queries.num_rows, shard.pairs.num_rows, shard.last) == (0, 0, True)
    assert rejected([shard], "query_id") == [("null_candidate", "q"), ("null_doc_id", "q")]


def test_rejected_rows_are_in_the_order_of_the_input(tmp_path: Path) -> None:
    rows = [query("a", [None]), query(None, [candidate("d")]), query("b", [candidate("d"), None]), query("c", None)]
    assert rejected(read_nested(tmp_path, *rows), "source_row") == [
        ("null_candidate", 0),
        ("null_query_id", 1),
        ("null_candidate", 2),
        ("null_candidates", 3),
    ]


def test_empty_is_text(tmp_path: Path) -> None:
    shards = read_nested(
        tmp_path,
        query("a", [candidate("1", ""), candidate("2", " \n"), candidate("3", "", title="T")], ""),
        query("b", [candidate("1", "x")], "  "),
        query("c", []),
    )
    assert pairs(shards, "text") == [("a", "1", ""), ("a", "2", " \n"), ("a", "3", "T "), ("b", "1", "x")]
    assert shards[0].queries["query"].to_pylist() == ["", "  "]
    assert rejected(shards) == []
    assert [count(shards, name) for name in ("queries", "empty_queries", "empty_texts", "empty_lists")] == [3, 1, 2, 1]


def test_odd_characters_pass(tmp_path: Path) -> None:
    odd = "a\0b\x01\x7f\u200b\ufeff\ufffe\U0010ffff\r\n\u2028</s>"
    shards = read_nested(tmp_path, query(odd, [candidate(odd, odd)], odd))
    assert pairs(shards, "text") == [(odd, odd, odd)]
    assert shards[0].queries["query"].to_pylist() == [odd]


# Types


def test_integer_ids(tmp_path: Path) -> None:
    table = flat_table([pair(-7, 2**64 - 1), pair(-7, None), pair(None, 1)], query_id=pa.int16(), doc_id=pa.uint64())
    shards = read(write(tmp_path / "a.parquet", table))
    assert pairs(shards) == [("-7", "18446744073709551615")]
    assert rejected(shards, "query_id") == [("null_doc_id", "-7"), ("null_query_id", None)]


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


# The flat layout


def test_flat_faults(tmp_path: Path) -> None:
    rows = [
        pair("a", "1", query=None),
        pair("a", "2", query="one"),
        pair("a", "3", query="two"),
        pair("a", "4", query=b"\xff"),
        pair("a", "5", query="one", instruction="do"),
        pair("a", "6", query="one", instruction="do not"),
        pair(None, "1"),
        pair(None, "2"),
        pair(" ", "3"),
        pair(b"\xff", "4"),
        pair("b", "1", query=None),
        pair("b", "2", query=None),
    ]
    shards = read_flat(tmp_path, *rows)
    assert pairs(shards, "given_position") == [("a", "2", 1), ("a", "5", 4)]
    assert shards[0].queries.select(["query", "instruction"]).to_pylist() == [{"query": "one", "instruction": "do"}]
    assert rejected(shards, "query_id", "doc_id", "n_candidates", "detail", "source_row") == [
        ("null_query", "a", "1", None, "query", 0),
        ("conflicting_query", "a", "3", None, "query", 2),
        ("invalid_utf8", "a", "4", None, "query", 3),
        ("conflicting_query", "a", "6", None, "instruction", 5),
        ("null_query_id", None, None, 1, None, 6),
        ("null_query_id", None, None, 1, None, 7),
        ("blank_query_id", " ", None, 1, None, 8),
        ("invalid_utf8", None, None, 1, "query_id", 9),
        ("null_query", "b", None, 2, None, 10),
    ]


def test_a_query_that_goes_on_in_the_next_row_groups(tmp_path: Path) -> None:
    rows = [pair(query_id, str(i), f"text {i}") for i, query_id in enumerate("aabbbbbbcd")]
    path = write(tmp_path / "a.parquet", flat_table(rows), row_group_size=3)
    shards = read(path)
    assert [(shard.name, shard.last, shard.queries["query_id"].to_pylist()) for shard in shards] == [
        ("part-00000-00000-00000", True, ["a", "b"]),
        ("part-00000-00002-00000", True, ["c"]),
        ("part-00000-00003-00000", True, ["d"]),
    ]
    assert pairs(shards, "text", "source_row") == [(*row, f"text {row[1]}", int(row[1])) for row in pairs(shards)]
    assert [row["doc_id"] for row in rows] == [doc_id for _, doc_id in pairs(shards)]


# What goes wrong while reading


def test_a_damaged_row_group(tmp_path: Path) -> None:
    rows = [query(str(i), [candidate("1"), candidate("2")]) for i in range(6)]
    path = write(tmp_path / "a.parquet", nested_table(rows), row_group_size=2)
    damage(path, 1, "candidates.list.element.text")
    shards = read(path)
    assert sizes(shards) == [(f"part-00000-{i:05d}-00000", True, n) for i, n in enumerate([4, 0, 4])]
    columns = ("query_id", "doc_id", "n_candidates", "source_file", "source_row")
    assert rejected(shards, *columns) == [("unreadable", None, None, 4, path, 2)]
    assert count(shards, "queries") == 4
    assert shards[1].rejected["detail"][0].as_py()
    assert shards[1].pairs.schema.equals(shards[0].pairs.schema)


def test_what_comes_before_the_damage_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_BATCH_VALUES", 10)
    rows = [query(str(i), [candidate(str(j), f"{i} {j} " * 50) for j in range(10)]) for i in range(40)]
    path = tmp_path / "a.parquet"
    small_pages = {"use_dictionary": False, "data_page_size": 1000, "write_batch_size": 1, "write_page_checksum": True}
    write(path, nested_table(rows), compression="none", **small_pages)
    path.write_bytes(path.read_bytes().replace(b"20 0 20 0 ", b"20 0 20 1 "))
    shards = read(str(path), shard_pairs=100)
    good = pairs(shards)
    assert good == [(str(i), str(j)) for i in range(len(good) // 10) for j in range(10)]
    assert 100 <= len(good) <= 200
    assert rejected(shards, "n_candidates", "source_row") == [("unreadable", 400 - len(good), len(good) // 10)]
    assert [shard.last for shard in shards] == [False] * (len(shards) - 1) + [True]


def test_damaged_query_ids(tmp_path: Path) -> None:
    rows = [query(query_id, [candidate("1")]) for query_id in ("a", "b", "c", "d", "c", "e")]
    path = write(tmp_path / "a.parquet", nested_table(rows), row_group_size=2)
    damage(path, 1, "query_id")
    shards = read(path)
    assert pairs(shards) == [("a", "1"), ("b", "1"), ("c", "1"), ("e", "1")]
    assert rejected(shards, "n_candidates", "source_row") == [("unreadable", 2, 2)]


@pytest.mark.parametrize(("column", "lost"), [("text", 2), ("query_id", 2)])
def test_a_damaged_row_group_of_the_flat_layout(column: str, lost: int, tmp_path: Path) -> None:
    rows = [pair(query_id, str(i)) for i, query_id in enumerate("aabbbc")]
    path = write(tmp_path / "a.parquet", flat_table(rows), row_group_size=2)
    damage(path, 1, column)
    shards = read(path)
    assert rejected(shards, "n_candidates", "source_row") == [("unreadable", lost, 2)]
    assert pairs(shards) == [("a", "0"), ("a", "1"), ("b", "4"), ("c", "5")]


def test_damage_in_rows_that_an_earlier_unit_reads(tmp_path: Path) -> None:
    rows = [pair(query_id, str(i)) for i, query_id in enumerate("aaab")]
    path = write(tmp_path / "a.parquet", flat_table(rows), row_group_size=2)
    damage(path, 1, "text")
    assert rejected(read(path), "n_candidates", "source_row") == [("unreadable", 1, 2), ("unreadable", 1, 3)]


class Unplugged(io.FileIO):
    """A file whose connection is lost once the footer has been read."""

    def __init__(self, path: str, error: Exception) -> None:
        super().__init__(path)
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        raise self._error


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), OSError(5, "I/O error"), RuntimeError("remote")])
def test_a_failing_filesystem_is_no_damage(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", nested_table([query("q", [candidate("d")])]))
    (unit,) = plan(inspect([path])).units
    monkeypatch.setattr(parquet, "open_input", lambda path: Unplugged(path, error))
    with pytest.raises(type(error)):
        list(read_shards(unit))


def test_a_file_that_was_changed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", nested_table([query("q", [candidate("d")])]))
    (unit,) = plan(inspect([path])).units
    write(tmp_path / "a.parquet", nested_table([query("q", [candidate("d"), candidate("e")])]))
    for clear in (False, True):  # in a process that has read the footer before, and in one that has not
        if clear:
            parquet._expected.cache_clear()
        with pytest.raises(UserError, match=f"^{path}: has changed since the job looked at it first; "):
            list(read_shards(unit))


def test_a_file_that_was_changed_and_is_as_long_as_before(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", nested_table([query("q", [candidate("d")])]))
    size = Path(path).stat().st_size
    (unit,) = plan(inspect([path])).units
    assert len(list(read_shards(unit))) == 1
    write(tmp_path / "a.parquet", nested_table([query("q", [candidate("e")])]))
    assert Path(path).stat().st_size == size
    with pytest.raises(UserError, match=f"^{path}: has changed since the job looked at it first; "):
        list(read_shards(unit))


def test_a_file_that_has_gone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", nested_table([query("q", [candidate("d")])]))
    (unit,) = plan(inspect([path])).units
    Path(path).unlink()
    with pytest.raises(UserError, match=f"^{path}: has gone since the job looked at it first; put it back, and the"):
        list(read_shards(unit))


def test_every_pair_is_there_once(tmp_path: Path) -> None:
    chance = random.Random(7)

    def one_of(*choices: Any) -> Any:
        return chance.choice(choices)

    def some_candidate() -> Any:
        title, score, rank = one_of(None, "", "T"), one_of(None, 1.5, math.nan), one_of(None, 3)
        document = candidate(one_of("a", "b", "c", "d", "e", "", None, b"\xff"), one_of("x", "", None, b"\x80"))
        return one_of(None, *[document | {"title": title, "score": score, "rank": rank}] * 9)

    rows = [
        query(
            one_of(str(i), str(i), str(i), str(i // 2), None, " "),
            one_of(None, *[[some_candidate() for _ in range(chance.randrange(9))] for _ in range(9)]),
            one_of("?", "?", "?", "", None),
        )
        for i in range(300)
    ]
    path = write(tmp_path / "a.parquet", nested_table(rows), row_group_size=70)
    shards = read(path, shard_pairs=32)
    there = [(row, doc_id) for _, doc_id, row in pairs(shards, "source_row")]
    assert len(set(there)) == len(there) > 100
    accounted = [0] * len(rows)
    for row, _ in there:
        accounted[row] += 1
    for row, n_candidates in ((r["source_row"], r["n_candidates"]) for s in shards for r in s.rejected.to_pylist()):
        accounted[row] += 1 if n_candidates is None else n_candidates
    assert accounted == [len(row["candidates"] or []) for row in rows]
    assert count(shards, "queries") == len(rows)
