from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

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
    read_flat,
    read_nested,
    rejected,
    sizes,
    write,
)
from transforms.input import parquet
from transforms.input.template import parse_template
from transforms.schema import REJECTED


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
    places = [(row, doc_id) for _, doc_id, row in pairs(shards, "source_row")]
    assert len(set(places)) == len(places) > 100
    accounted = [0] * len(rows)
    for row, _ in places:
        accounted[row] += 1
    for row, n_candidates in ((r["source_row"], r["n_candidates"]) for s in shards for r in s.rejected.to_pylist()):
        accounted[row] += 1 if n_candidates is None else n_candidates
    assert accounted == [len(row["candidates"] or []) for row in rows]
    assert count(shards, "queries") == len(rows)
