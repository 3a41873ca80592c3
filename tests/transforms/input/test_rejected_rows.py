from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.input_files import (
    candidate,
    count,
    nested_table,
    pairs,
    query,
    read,
    read_nested,
    rejected,
    write,
)
from transforms.input.template import parse_template


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
