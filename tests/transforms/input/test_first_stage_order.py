from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.input_files import (
    candidate,
    count,
    flat_table,
    pair,
    pairs,
    query,
    read,
    read_nested,
    write,
)


def order_of(tmp_path: Path, *candidates: dict[str, Any]) -> list[tuple[Any, ...]]:
    columns = ("first_stage_rank", "first_stage_score", "given_position")
    return [each[1:] for each in pairs(read_nested(tmp_path, query("q", list(candidates))), *columns)]


def test_by_rank_where_every_candidate_has_one(tmp_path: Path) -> None:
    candidates = [candidate("a", rank=30, score=9), candidate("b", rank=10, score=1), candidate("c", rank=20, score=5)]
    assert order_of(tmp_path, *candidates) == [("b", 1, 1, 1), ("c", 2, 5, 2), ("a", 3, 9, 0)]


def test_equal_ranks_stay_as_given(tmp_path: Path) -> None:
    candidates = [candidate("a", rank=1), candidate("c", rank=1), candidate("b", rank=0)]
    assert order_of(tmp_path, *candidates) == [("b", 1, None, 2), ("a", 2, None, 0), ("c", 3, None, 1)]


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
    rows = [pair("q", "a", score=3, rank=2**64 - 1), pair("q", "b", score=2, rank=2**40), pair("q", "c", rank=2**31)]
    shards = read(write(tmp_path / "a.parquet", flat_table(rows, score=pa.int64(), rank=pa.uint64())))
    assert shards[0].pairs.schema.field("first_stage_score").type == pa.float64()
    assert pairs(shards, "first_stage_rank", "first_stage_score") == [
        ("q", "c", 1, None),
        ("q", "b", 2, 2.0),
        ("q", "a", 3, 3.0),
    ]


def test_a_null_among_unsigned_ranks_is_none(tmp_path: Path) -> None:
    rows = [pair("q", "a", score=2.0, rank=1), pair("q", "b", score=3.0, rank=None)]
    shards = read(write(tmp_path / "a.parquet", flat_table(rows, rank=pa.uint64())))
    assert pairs(shards, "first_stage_rank") == [("q", "b", 1), ("q", "a", 2)]


def test_ranks_that_repeat_or_leave_gaps_are_counted_anew_in_each_list(tmp_path: Path) -> None:
    rows = [
        query("a", [candidate("x", rank=7), candidate("y", rank=7), candidate("z", rank=-3)]),
        query("b", [candidate("x", rank=0), candidate("y", rank=2**31 - 1)]),
    ]
    shards = read_nested(tmp_path, *rows)
    assert pairs(shards, "first_stage_rank") == [
        ("a", "z", 1),
        ("a", "x", 2),
        ("a", "y", 3),
        ("b", "x", 1),
        ("b", "y", 2),
    ]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([[candidate("a"), candidate("b", score=None)], [candidate("a", rank=1), candidate("b")]], 4),
        ([[candidate("a"), candidate("b")], [candidate("a", score=1.0)]], None),
        ([[candidate("a", rank=1)], []], None),
        ([[candidate("a", score=math.nan), candidate("b", None, score=2.0)]], 1),
        ([[]], None),
    ],
)
def test_pairs_in_the_order_of_the_input_are_counted_where_there_is_no_other(
    lists: list[Any], expected: int | None, tmp_path: Path
) -> None:
    (shard,) = read_nested(tmp_path, *(query(str(i), entries) for i, entries in enumerate(lists)))
    assert shard.counts.get("pairs_in_input_order") == expected
