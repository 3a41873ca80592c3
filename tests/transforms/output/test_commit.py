from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from tests.support.shards import NAN, make_scores, make_shard
from transforms.output.commit import count, rank, results
from transforms.schema import REJECTED, SCORED, Shard
from transforms.scoring.results import Failure, Scores


def ranked(shard: Shard, scores: Scores, top_k: int | None = None) -> list[tuple[str, str, int, float]]:
    scored, _ = results(shard, scores, top_k)
    return [tuple(row.values()) for row in scored.select(["query_id", "doc_id", "rank", "score"]).to_pylist()]


# Ranking


def test_rank_orders_by_query_then_score_then_doc_id_descending() -> None:
    query = np.array([0, 0, 0, 1, 1, 0])
    score = np.array([0.5, 2.0, 0.5, -1.0, 3.0, 0.5], np.float32)
    order, ranks = rank(query, score, pa.array(["b", "a", "c", "x", "y", "B"]))
    assert order.tolist() == [1, 2, 0, 5, 4, 3]
    assert ranks.tolist() == [1, 2, 3, 4, 1, 2]
    order, ranks = rank(query, score, pa.array(["b", "a", "c", "x", "y", "B"]), top_k=1)
    assert (order.tolist(), ranks.tolist()) == ([1, 4], [1, 1])


def test_ties_are_broken_by_utf8_bytes() -> None:
    # By UTF-16 units, as some languages sort, U+1F600 (first unit D83D) would stand below U+FF21.
    doc_ids = ["10", "9", "", "Z", "a", "\xe9", "\uff21", "\U0001f600", "aa", "a\x00"]
    order, _ = rank(np.zeros(10, np.int64), np.zeros(10, np.float32), pa.array(doc_ids))
    assert [doc_ids[i] for i in order] == ["\U0001f600", "\uff21", "\xe9", "aa", "a\x00", "a", "Z", "9", "10", ""]


def test_zero_and_minus_zero_are_a_tie() -> None:
    order, _ = rank(np.zeros(3, np.int64), np.array([0.0, -0.0, 0.0], np.float32), pa.array(["a", "c", "b"]))
    assert order.tolist() == [1, 2, 0]


def test_rank_of_nothing() -> None:
    order, ranks = rank(np.array([], np.int64), np.array([], np.float32), pa.array([], pa.string()))
    assert order.tolist() == ranks.tolist() == []


def test_rank_agrees_with_sorted_on_many_ties() -> None:
    random = np.random.default_rng(0)
    query = np.sort(random.integers(0, 20, 2000))
    score = random.integers(-3, 3, 2000).astype(np.float32)
    doc_ids = [f"d{i}" for i in random.permutation(2000)]
    order, _ = rank(query, score, pa.chunked_array([doc_ids[:700], doc_ids[700:]]))
    # Two stable passes: by doc_id descending, then by query ascending and score descending.
    by_doc = sorted(range(2000), key=lambda i: doc_ids[i].encode(), reverse=True)
    assert order.tolist() == sorted(by_doc, key=lambda i: (query[i], -score[i]))


# Rows


def test_scored_rows_have_the_schema_and_the_pairs_own_columns() -> None:
    shard = make_shard([("q1", ["a", "b"]), ("q2", ["c"])])
    scores = make_scores(
        0.25,
        0.5,
        -1.0,
        tokens=np.array([7, 9, 11], np.int32),
        truncated_tokens=np.array([0, 4, 0], np.int32),
        windows=np.array([1, 2, 1], np.int16),
    )
    scored, rejected = results(shard, scores)
    assert scored.schema == SCORED
    assert rejected.schema == REJECTED
    assert rejected.num_rows == 0
    assert scored.to_pydict() == {
        "query_id": ["q1", "q1", "q2"],
        "doc_id": ["b", "a", "c"],
        "rank": [1, 2, 1],
        "score": [0.5, 0.25, -1.0],
        "first_stage_rank": [2, 1, 1],
        "first_stage_score": [None, None, None],
        "tokens": [9, 7, 11],
        "truncated_tokens": [4, 0, 0],
        "query_truncated_tokens": [None, None, None],
        "windows": [2, 1, 1],
        "group": [None, None, None],
        "position": [None, None, None],
    }


def test_kept_columns_follow_even_where_they_share_a_name() -> None:
    scored, _ = results(make_shard([("q1", ["a", "b"])], kept=True), make_scores(0.25, 0.5))
    assert scored.column_names[len(SCORED) :] == ["language", "text"]
    assert scored.column(len(SCORED)).to_pylist() == ["language of q1", "language of q1"]
    assert scored.column(len(SCORED) + 1).to_pylist() == ["own text of b", "own text of a"]


def test_failed_and_unfinite_pairs_are_rejected_and_leave_no_gap() -> None:
    shard = make_shard(
        [("q1", ["a", "b", "c", "d"]), ("q2", ["e"])],
        rejected=[{"query_id": "q0", "n_candidates": 3, "reason": "null_query", "source_row": 7}],
    )
    scores = make_scores(0.5, NAN, float("inf"), 0.7, NAN, failures={1: Failure("out_of_memory", "9 GiB"), 4: OOPS})
    scored, rejected = results(shard, scores)
    assert scored.select(["doc_id", "rank"]).to_pydict() == {"doc_id": ["d", "a"], "rank": [1, 2]}
    assert [tuple(row.values()) for row in rejected.to_pylist()] == [
        ("q0", None, 3, "null_query", None, None, 7),
        ("q1", "b", None, "out_of_memory", "9 GiB", "/data/cands.parquet", 0),
        ("q1", "c", None, "nan_score", "score inf", "/data/cands.parquet", 0),
        ("q2", "e", None, "tokenizer_error", "oops", "/data/cands.parquet", 1),
    ]


OOPS = Failure("tokenizer_error", "oops")


def test_a_score_beside_a_failure_is_not_written() -> None:
    assert ranked(make_shard([("q", ["a", "b"])]), make_scores(9.0, 1.0, failures={0: OOPS})) == [("q", "b", 1, 1.0)]


def test_nan_without_a_failure_is_rejected() -> None:
    _, rejected = results(make_shard([("q", ["a"])]), make_scores(NAN))
    assert rejected.select(["reason", "detail"]).to_pylist() == [{"reason": "nan_score", "detail": "score nan"}]


def test_top_k_cuts_what_is_written_of_each_query() -> None:
    shard = make_shard([("q1", ["a", "b", "c"]), ("q2", ["d"])])
    assert ranked(shard, make_scores(1, 3, 2, 4), top_k=2) == [("q1", "b", 1, 3), ("q1", "c", 2, 2), ("q2", "d", 1, 4)]


def test_scores_that_do_not_match_the_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="part-00003-00012-00000: 2 pairs, 1 scores, and queries that claim 2"):
        results(make_shard([("q", ["a", "b"])]), make_scores(1.0))


# Counts


def test_counts() -> None:
    shard = make_shard(
        [("q1", ["a", "b", "c"]), ("q2", ["d"])],
        rejected=[
            {"query_id": "q0", "n_candidates": 3, "reason": "null_query"},
            {"query_id": "q9", "n_candidates": 0, "reason": "null_candidates"},
            {"query_id": "q1", "doc_id": "a", "reason": "duplicate_doc_id"},
            {"query_id": "q1", "reason": "null_doc_id"},
        ],
        counts=Counter(queries=4, empty_lists=1, empty_texts=2),
    )
    scores = make_scores(
        1.0,
        NAN,
        2.0,
        0.0,
        tokens=np.array([10, 20, 30, 40], np.int32),
        truncated_tokens=np.array([0, 5, 0, 7], np.int32),
        query_truncated_tokens=np.array([1, 1, 1, 0], np.int32),
        windows=np.array([1, 3, 1, 2], np.int16),
        counts=Counter(forward_tokens=99, oom_splits=1),
    )
    assert count(shard, scores, results(shard, scores)[1]) == {
        "queries": 4,
        "rejected_queries": 2,
        "empty_lists": 1,
        "empty_texts": 2,
        "pairs": 9,
        "scored": 3,
        "rejected.null_query": 3,
        "rejected_rows.null_query": 1,
        "rejected.null_candidates": 0,
        "rejected_rows.null_candidates": 1,
        "rejected.duplicate_doc_id": 1,
        "rejected_rows.duplicate_doc_id": 1,
        "rejected.null_doc_id": 1,
        "rejected_rows.null_doc_id": 1,
        "rejected.nan_score": 1,
        "rejected_rows.nan_score": 1,
        "tokens": 100,
        "truncated_pairs": 2,
        "truncated_tokens": 12,
        "truncated_queries": 1,
        "windowed_pairs": 2,
        "forward_tokens": 99,
        "oom_splits": 1,
    }


def test_what_the_model_does_not_report_is_not_counted_as_0() -> None:
    shard = make_shard([("q", ["a"])])
    counts = count(shard, make_scores(1.0), shard.rejected)
    assert {"tokens", "truncated_pairs", "truncated_tokens", "truncated_queries", "windowed_pairs"}.isdisjoint(counts)
