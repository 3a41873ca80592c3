from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.object_store import ObjectStore
from transforms.base import files
from transforms.base.errors import UserError
from transforms.output.commit import Stamp, commit, count, rank, results
from transforms.output.parts import Part, committed, complete_row_groups, read_scored
from transforms.schema import REJECTED, SCORED, Shard
from transforms.scoring.results import Failure, Scores

NAN = float("nan")
NAME = "part-00003-00012-00000"


def make_shard(
    queries: Sequence[tuple[str, Sequence[str]]],
    rejected: Sequence[dict[str, Any]] = (),
    name: str = NAME,
    last: bool = True,
    counts: Counter[str] | None = None,
    kept: bool = False,
) -> Shard:
    """A shard of (query id, doc ids); with `kept`, a kept column of the queries and the pairs' "text"."""
    docs = [doc for _, listed in queries for doc in listed]
    query_columns = {
        "query_id": pa.array([query for query, _ in queries], pa.string()),
        "query": pa.array([f"text of {query}" for query, _ in queries], pa.string()),
        "n_pairs": pa.array([len(listed) for _, listed in queries], pa.int32()),
    }
    pair_columns = [
        ("doc_id", pa.array(docs, pa.string())),
        ("text", pa.array([f"title {doc}" for doc in docs], pa.string())),
        ("first_stage_rank", pa.array([i + 1 for _, listed in queries for i in range(len(listed))], pa.int32())),
        ("first_stage_score", pa.array([None] * len(docs), pa.float64())),
        ("given_position", pa.array(range(len(docs)), pa.int32())),
        ("source_file", pa.array(["/data/cands.parquet"] * len(docs)).dictionary_encode()),
        ("source_row", pa.array([i for i, (_, listed) in enumerate(queries) for _ in listed], pa.int64())),
    ]
    if kept:
        query_columns["keep.language"] = pa.array([f"language of {query}" for query, _ in queries])
        pair_columns.append(("keep.text", pa.array([f"own text of {doc}" for doc in docs])))
    return Shard(
        name=name,
        last=last,
        queries=pa.table(query_columns),
        pairs=pa.Table.from_arrays([column for _, column in pair_columns], names=[name for name, _ in pair_columns]),
        rejected=pa.Table.from_pylist(list(rejected), schema=REJECTED),
        counts=Counter({"queries": len(queries)}) if counts is None else counts,
    )


def make_scores(*score: float, **rest: Any) -> Scores:
    return Scores(score=np.array(score, np.float32), **rest)


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


# Part files


def names(output: str | Path) -> list[str]:
    return [f"{folder}/{name}" for folder in ("rejected", "scored") for name in files.list_names(f"{output}/{folder}")]


def contents(output: Path) -> dict[str, bytes]:
    return {name: (output / name).read_bytes() for name in names(output)}


@pytest.fixture(params=["local", "object store"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    ObjectStore.objects.clear()
    return "mem://bucket/out" if request.param == "object store" else str(tmp_path / "out")


def test_commit_writes_both_parts_and_its_counts(output: str) -> None:
    counts = commit(output, make_shard([("q", ["a", "b"])], last=False), make_scores(1.0, NAN))
    assert names(output) == [f"rejected/{NAME}.parquet", f"scored/{NAME}.parquet"]
    assert counts["scored"] == 1
    assert committed(output) == {NAME: Part(counts, last=False)}
    (scored,) = read_scored(output)
    assert scored.schema.names == SCORED.names
    assert scored["doc_id"].to_pylist() == ["a"]
    with files.open_input(f"{output}/rejected/{NAME}.parquet") as stream:
        assert pq.read_table(stream)["reason"].to_pylist() == ["nan_score"]


def test_record_is_json_in_the_footer(tmp_path: Path) -> None:
    counts = commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(1.0), stamp=Stamp("f1"))
    metadata = pq.read_metadata(tmp_path / f"scored/{NAME}.parquet").metadata
    assert json.loads(metadata[b"rerank"]) == {"counts": dict(counts), "job": "f1", "last": True, "part": NAME}


def test_shard_without_pairs_is_committed_by_an_empty_part(output: str) -> None:
    commit(output, make_shard([]), make_scores())
    assert names(output) == [f"scored/{NAME}.parquet"]
    assert [table.num_rows for table in read_scored(output)] == [0]
    assert list(committed(output)) == [NAME]


def test_rejected_part_of_an_earlier_attempt_is_removed(output: str) -> None:
    shard = make_shard([("q", ["a"])])
    commit(output, shard, make_scores(NAN))
    commit(output, shard, make_scores(1.0))
    assert names(output) == [f"scored/{NAME}.parquet"]


def test_bytes_do_not_depend_on_how_the_input_was_chunked(tmp_path: Path) -> None:
    # More than a megabyte of ids, so that Parquet leaves its dictionary in the middle of a column.
    docs = [f"{i:0400}" for i in range(5000)]
    rejected = [{"doc_id": doc, "reason": "duplicate_doc_id"} for doc in docs]
    whole, chunked = (make_shard([("q", docs)], rejected=rejected, kept=True) for _ in range(2))
    for name in ("pairs", "rejected"):
        table = getattr(chunked, name)
        object.__setattr__(chunked, name, pa.concat_tables([table.slice(i, 777) for i in range(0, 5000, 777)]))
    scores = make_scores(NAN, *range(4999))
    commit(str(tmp_path / "whole"), whole, scores)
    commit(str(tmp_path / "elsewhere" / "chunked"), chunked, scores)
    assert contents(tmp_path / "whole") == contents(tmp_path / "elsewhere" / "chunked")


# Killed at each point of the commit


POINTS: dict[str, tuple[str, str, str]] = {
    "before the rejected part": ("write_temporary", "rejected", "before"),
    "half of the rejected temporary": ("write_temporary", "rejected", "half"),
    "rejected temporary not renamed": ("rename", "rejected", "before"),
    "rejected part without its scored part": ("rename", "rejected", "after"),
    "half of the scored temporary": ("write_temporary", "scored", "half"),
    "scored temporary not renamed": ("rename", "scored", "before"),
    "both parts there": ("rename", "scored", "after"),
}


def kill_at(step: str, folder: str, when: str) -> None:
    """Lets SIGKILL end this process before, half-way through or after one step of writing a part into `folder`."""
    original: Callable[..., None] = getattr(files, step)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def deadly(path: str, argument: Any) -> None:
        if f"/{folder}/" not in path or when == "before":
            return die() if f"/{folder}/" in path else original(path, argument)

        def write_half(stream: BinaryIO) -> None:
            argument(stream)
            stream.flush()
            stream.truncate(stream.tell() // 2)
            die()

        original(path, write_half if when == "half" else argument)
        return die()

    setattr(files, step, deadly)


def two_shards() -> list[tuple[Shard, Scores]]:
    first = make_shard([("q1", ["a", "b", "c"])], name="part-00000-00000-00000", last=False)
    second = make_shard([("q2", ["d", "e"])], name="part-00000-00000-00001")
    return [(first, make_scores(1.0, 3.0, 2.0)), (second, make_scores(NAN, 0.5))]


def run_job(output: str) -> None:
    """What the same command does each time: what is missing, and nothing else."""
    for folder in ("scored", "rejected"):
        files.sweep(files.join(output, folder))
    done = committed(output)
    for shard, scores in two_shards():
        if shard.name not in done:
            commit(output, shard, scores)


def run_job_until_killed(output: str, point: str) -> None:
    kill_at(*POINTS[point])
    run_job(output)


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_run_again_gives_the_bytes_of_an_undisturbed_run(point: str, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    run_job(str(undisturbed))

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=run_job_until_killed, args=(str(killed), point))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    # The first shard has nothing to reject, so every point but those of its scored part leaves it committed.
    in_first = POINTS[point][1] == "scored"
    assert list(committed(str(killed))) == (
        [] if in_first and point != "both parts there" else ["part-00000-00000-00000"]
    )

    run_job(str(killed))
    assert contents(killed) == contents(undisturbed)
    rows = [(row["query_id"], row["doc_id"]) for table in read_scored(str(killed)) for row in table.to_pylist()]
    assert rows == [("q1", "b"), ("q1", "c"), ("q1", "a"), ("q2", "e")]


# What is there already


def test_rejected_part_without_its_scored_part_is_not_committed(tmp_path: Path) -> None:
    commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(NAN))
    (tmp_path / f"scored/{NAME}.parquet").unlink()
    assert committed(str(tmp_path)) == {}
    assert list(read_scored(str(tmp_path))) == []


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_truncated_part_counts_as_not_written(keep: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(1.0))
    path = tmp_path / f"scored/{NAME}.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert committed(str(tmp_path)) == {}
    assert f"{path} is damaged (" in caplog.text
    assert "it counts as not written" in caplog.text
    commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(1.0))
    assert path.read_bytes() == whole


def test_a_part_whose_own_record_is_damaged_counts_as_not_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The record stands in the footer; one bit makes a bracket of its brace."""
    commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(1.0))
    path = tmp_path / f"scored/{NAME}.parquet"
    place = path.read_bytes().rindex(b'{"counts"')
    content = bytearray(path.read_bytes())
    content[place] ^= 0x20
    path.write_bytes(content)
    assert committed(str(tmp_path)) == {}
    assert f"{path} is damaged (" in caplog.text


@pytest.mark.parametrize("name", ["part-00000.parquet", "mine.parquet", f"{NAME}.parquet"])
def test_another_programs_parquet_among_the_parts_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "scored").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "scored" / name)
    with pytest.raises(UserError, match=rf"^{tmp_path}/scored/{name} was not written by this job: move it out"):
        committed(str(tmp_path))


def test_a_part_of_another_job_is_named_and_stays(tmp_path: Path) -> None:
    commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(1.0), stamp=Stamp("f1"))
    assert list(committed(str(tmp_path), "f1")) == [NAME]
    with pytest.raises(UserError, match=rf"^{tmp_path}/scored/{NAME}.parquet was not written by this job: move it out"):
        committed(str(tmp_path), "f2")
    assert list(committed(str(tmp_path), "f1")) == [NAME]


def test_temporaries_and_other_files_among_the_parts_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "scored").mkdir()
    for name in (f".{NAME}.parquet.0f.tmp", "_metadata.parquet", "notes.txt", ".DS_Store"):
        (tmp_path / "scored" / name).touch()
    assert committed(str(tmp_path)) == {}


def test_output_that_is_not_there_has_nothing_committed(output: str) -> None:
    assert committed(output) == {}


def test_parts_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    order = ["part-00002-00000-00000", "part-00002-00000-00001", "part-99999-00000-00000", "part-100000-00000-00000"]
    for name in reversed(order):
        commit(str(tmp_path), make_shard([(name, ["a"])], name=name), make_scores(1.0))
    assert list(committed(str(tmp_path))) == order
    tables = read_scored(str(tmp_path), columns=["query_id"])
    assert [table.to_pydict() for table in tables] == [{"query_id": [name]} for name in order]


def test_complete_row_groups() -> None:
    def part(last: bool) -> Part:
        return Part(Counter(), last)

    parts = {
        "part-00000-00000-00000": part(True),  # one slice, the last
        "part-00000-00001-00000": part(False),  # the last of three, and the middle, are missing
        "part-00000-00002-00000": part(False),  # all three
        "part-00000-00002-00001": part(False),
        "part-00000-00002-00002": part(True),
        "part-00001-00000-00000": part(False),  # the middle one is missing
        "part-00001-00000-00002": part(True),
    }
    assert complete_row_groups(parts) == {(0, 0), (0, 2)}


def test_part_files_hold_no_path_of_the_output_and_no_temporary(tmp_path: Path) -> None:
    commit(str(tmp_path), make_shard([("q", ["a", "b"])]), make_scores(1.0, NAN))
    assert names(tmp_path) == [f"rejected/{NAME}.parquet", f"scored/{NAME}.parquet"]
    assert all(str(tmp_path).encode() not in data for data in contents(tmp_path).values())
