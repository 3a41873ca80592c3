from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pyarrow as pa
import pytest

from tests.support.shards import NAN, make_scores, make_shard
from transforms.base import files
from transforms.base.errors import UserError
from transforms.output.commit import commit
from transforms.output.parts import Part
from transforms.output.report import (
    check_run_ids,
    rejected_fraction,
    summarise,
    summary,
    total,
    write_report,
    write_run_file,
    write_success,
)

FIRST = {
    "queries": 3,
    "pairs": 1000,
    "scored": 990,
    "rejected_queries": 1,
    "rejected.null_text": 3,
    "rejected_rows.null_text": 3,
    "rejected.null_query": 7,
    "rejected_rows.null_query": 1,
    "empty_texts": 2,
    "nan_first_stage_scores": 1,
    "tokens": 50_000,
    "truncated_pairs": 4,
    "truncated_tokens": 1234,
    "truncated_queries": 1,
    "windowed_pairs": 0,
    "forward_passes": 10,
    "forward_tokens": 60_000,
    "oom_splits": 1,
}
SECOND = {
    "queries": 2,
    "pairs": 501,
    "scored": 500,
    "rejected.null_text": 1,
    "rejected_rows.null_text": 1,
    "empty_lists": 1,
    "empty_queries": 1,
    "tokens": 20_000,
    "truncated_pairs": 0,
    "truncated_tokens": 0,
    "truncated_queries": 0,
    "windowed_pairs": 5,
    "forward_passes": 5,
    "forward_tokens": 30_000,
    "padding_tokens": 10_000,
}


def make_report(**changes: Any) -> dict[str, Any]:
    parts = {"part-0": Part(Counter(FIRST), True), "part-1": Part(Counter(SECOND), True)}
    arguments: dict[str, Any] = {
        "before": ["part-0"],
        "seconds": 10.0,
        "stage_seconds": {"write": 0.25, "forward": 9.12345},
    }
    return summarise(parts, **arguments | changes)


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files and directories that are flushed to the disk, in their order."""
    names: list[str] = []
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        flush(descriptor)
        names.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)

    monkeypatch.setattr(os, "fsync", fsync)
    return names


def test_each_part_is_flushed_and_their_names_once_before_the_job_is_marked_as_finished(
    tmp_path: Path, flushed: list[str]
) -> None:
    output = str(tmp_path / "out")
    for number in range(3):
        commit(output, make_shard([("q", ["a", "b"])], name=f"part-00000-00000-0000{number}"), make_scores(1.0, NAN))
    parts = [f".part-00000-00000-0000{number}.parquet" for number in (0, 0, 1, 1, 2, 2)]
    assert [name[: name.index(".parquet") + len(".parquet")] for name in flushed] == parts
    flushed.clear()
    write_success(output)
    *folders, mark, last = flushed
    assert (sorted(folders), mark.startswith("._SUCCESS."), last) == (["rejected", "scored"], True, "out")


def test_report_counts_the_job_and_times_the_last_run() -> None:
    assert make_report(price_per_hour=1.8) == {
        "queries": {"total": 5, "rejected": 1, "without_candidates": 1, "empty_text": 1, "truncated": 1},
        "pairs": {
            "total": 1501,
            "scored": 1490,
            "rejected": 11,
            "empty_text": 2,
            "nan_first_stage_score": 1,
            "truncated": 4,
            "windowed": 5,
        },
        "rejected": {"null_query": {"rows": 1, "pairs": 7}, "null_text": {"rows": 4, "pairs": 4}},
        "tokens": {"total": 70_000, "truncated": 1234, "computed": 100_000, "padding_share": 0.1},
        "forward_passes": 15,
        "out_of_memory_splits": 1,
        "endpoint": {},
        "shards": 2,
        "last_run": {
            "shards": 1,
            "seconds": 10.0,
            "pairs": 501,
            "pairs_per_second": 50.0,
            "tokens_per_second": 3000.0,
            "cost": 0.005,
            "cost_per_1000_pairs": 0.01,
            "stage_seconds": {"forward": 9.123, "write": 0.25},
        },
    }


def test_report_says_what_was_asked_of_an_endpoint() -> None:
    part = Part(Counter(queries=1, pairs=2, scored=2, endpoint_requests=3, endpoint_tokens=40), True)
    report = summarise({"part-0": part}, before=[], seconds=1.0, stage_seconds={})
    assert report["endpoint"] == {"requests": 3, "tokens": 40}


def test_what_no_part_reports_is_unknown() -> None:
    counts = Counter(queries=1, pairs=2, scored=2)
    report = summarise({"part-0": Part(counts, True)}, before=[], seconds=1.0, stage_seconds={})
    assert report["tokens"] == {"total": None, "truncated": None, "computed": 0, "padding_share": 0.0}
    assert report["pairs"]["truncated"] is None
    assert report["queries"]["truncated"] is None
    assert report["last_run"]["cost"] is None
    assert report["last_run"]["tokens_per_second"] is None
    lines = summary("out", report).splitlines()
    assert lines[1] == "truncated unknown for this model"
    assert lines[3] == "speed     2.0 pairs/s, 2 pairs in 0:00:01"


def test_where_nothing_was_scored_nothing_was_cut() -> None:
    report = summarise({}, before=[], seconds=1.0, stage_seconds={})
    lines = summary("out", report).splitlines()
    assert lines[1] == "truncated 0 of 0 documents, 0 tokens of them unread"


def test_run_that_found_everything_done_has_no_speed() -> None:
    report = make_report(before=["part-0", "part-1", "of another plan"], seconds=2.0, price_per_hour=1.0)
    assert [line.split()[0] for line in summary("out", report).splitlines()] == [
        "scored",
        "truncated",
        "rejected",
        "output",
    ]
    run = report["last_run"]
    assert (run["shards"], run["pairs"], run["pairs_per_second"]) == (0, 0, 0.0)
    assert run["cost_per_1000_pairs"] is None


def test_total_keeps_zeros_and_knows_nothing_of_the_rest() -> None:
    parts = {"a": Part(Counter(x=0), True), "b": Part(Counter(y=2), False)}
    assert dict(total(parts)) == {"x": 0, "y": 2}


@pytest.mark.parametrize(
    ("counts", "expected"), [({"pairs": 8, "scored": 6}, 0.25), ({"pairs": 0}, 0.0), ({}, 0.0), ({"pairs": 3}, 1.0)]
)
def test_rejected_fraction(counts: dict[str, int], expected: float) -> None:
    assert rejected_fraction(counts) == expected


def test_summary_is_five_lines() -> None:
    assert summary("out", make_report(price_per_hour=1.8)) == (
        "scored    1,490 of 1,501 (99.3%) pairs of 5 queries, 1 query without candidates, 1 empty query, "
        "2 empty documents\n"
        "truncated 4 of 1,490 (0.3%) documents, 1,234 tokens of them unread, 1 query, 5 documents read in windows\n"
        "rejected  11 of 1,501 (0.7%) pairs, null_query 1 (7 pairs), null_text 4, out/rejected\n"
        "speed     50.0 pairs/s, 3,000 tokens/s, 501 pairs in 0:00:10, 1 shard done before, cost 0.01\n"
        "output    out/scored, report in out/report.json"
    )


def test_summary_of_a_job_without_trouble_is_short() -> None:
    counts = Counter(
        queries=1, pairs=2, scored=2, truncated_pairs=0, truncated_tokens=0, truncated_queries=0, forward_tokens=9
    )
    report = summarise({"part-0": Part(counts, True)}, before=[], seconds=0.5, stage_seconds={})
    assert summary("gs://bucket/out/", report) == (
        "scored    2 of 2 pairs of 1 query\n"
        "truncated 0 of 2 documents, 0 tokens of them unread\n"
        "rejected  0 of 2 pairs\n"
        "speed     4.0 pairs/s, 18 tokens/s, 2 pairs in 0:00:00\n"
        "output    gs://bucket/out/scored, report in gs://bucket/out/report.json"
    )


def test_summary_of_an_empty_job_has_no_speed() -> None:
    report = summarise({}, before=[], seconds=0.0, stage_seconds={})
    assert "speed" not in summary("out", report)


def test_report_and_success_files(tmp_path: Path) -> None:
    output = str(tmp_path)
    write_report(output, make_report())
    write_success(output)
    assert json.loads((tmp_path / "report.json").read_text()) == make_report()
    assert files.list_names(output) == ["_SUCCESS", "report.json"]
    assert (tmp_path / "_SUCCESS").read_bytes() == b""


# TREC runs


def test_run_file(tmp_path: Path) -> None:
    shard = make_shard([("q1", ["a", "b", "c"]), ("q2", ["d\xe9"])], name="part-00000-00000-00001")
    commit(str(tmp_path), shard, make_scores(0.1, -1e-7, NAN, 16777217.0))
    commit(str(tmp_path), make_shard([("q0", ["z"])], name="part-00000-00000-00000"), make_scores(1.0))
    path = tmp_path / "runs" / "best.run"
    write_run_file(str(tmp_path), str(path), "mine")
    assert path.read_bytes().decode("utf-8") == (
        "q0 Q0 z 1 1 mine\nq1 Q0 a 1 0.100000001 mine\nq1 Q0 b 2 -1.00000001e-07 mine\nq2 Q0 d\xe9 1 16777216 mine\n"
    )
    assert files.list_names(str(path.parent)) == ["best.run"]


def test_run_file_makes_no_ties(tmp_path: Path) -> None:
    scores = [np.float32(0.7)]
    for _ in range(20):
        scores.append(np.nextafter(scores[-1], np.float32(1)))
    shard = make_shard([("q", [f"d{i}" for i in range(len(scores))])])
    commit(str(tmp_path), shard, make_scores(*map(float, scores)))
    write_run_file(str(tmp_path), str(tmp_path / "run"), "x")
    written = [line.split() for line in (tmp_path / "run").read_text().splitlines()]
    assert [np.float32(fields[4]) for fields in written] == scores[::-1]


def test_evaluation_reads_the_ranks_that_were_written(tmp_path: Path) -> None:
    """trec_eval goes by score and, in a tie, by document id descending; so do the ranks."""
    shard = make_shard([("q", ["a", "b", "\U0001f600", "\uff21"])])
    commit(str(tmp_path), shard, make_scores(0.5, 0.5, 0.5, 0.5))
    write_run_file(str(tmp_path), str(tmp_path / "run"), "x")
    ranked = [line.split()[2] for line in (tmp_path / "run").read_text(encoding="utf-8").splitlines()]
    assert ranked == ["\U0001f600", "\uff21", "b", "a"]
    run = list(ir_measures.read_trec_run(str(tmp_path / "run")))
    for rank, doc in enumerate(ranked, 1):
        measured = ir_measures.calc_aggregate([ir_measures.RR], [ir_measures.Qrel("q", doc, 1)], run)
        assert measured[ir_measures.RR] == pytest.approx(1 / rank)


def test_run_of_an_output_with_nothing_scored(tmp_path: Path) -> None:
    commit(str(tmp_path), make_shard([]), make_scores())
    write_run_file(str(tmp_path), str(tmp_path / "run"), "x")
    assert (tmp_path / "run").read_bytes() == b""


@pytest.mark.parametrize(
    ("query", "doc", "named"), [("q 1", "d", "query id 'q 1'"), ("q", "d\t2", r"document id 'd\t2'")]
)
def test_run_refuses_ids_with_white_space(query: str, doc: str, named: str, tmp_path: Path) -> None:
    commit(str(tmp_path), make_shard([(query, ["fine", doc])]), make_scores(1.0, 2.0))
    with pytest.raises(UserError) as error:
        write_run_file(str(tmp_path), str(tmp_path / "runs" / "run"), "x")
    assert str(error.value).startswith(f"{named} has white space in it or is empty, which a TREC run cannot hold; ")
    assert files.list_names(str(tmp_path / "runs")) == []


@pytest.mark.parametrize("tag", ["", "two words"])
def test_run_refuses_a_name_with_white_space(tag: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the run's name"):
        write_run_file(str(tmp_path), str(tmp_path / "run"), tag)


def test_white_space_is_what_readers_of_runs_split_at() -> None:
    characters = [chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000]  # there is none above
    splitting = [character for character in characters if len(f"a{character}b".split()) > 1]
    assert len(splitting) == 29
    check_run_ids(pa.array([f"a{character}b" for character in characters if character not in splitting]), "query")
    for character in splitting:
        with pytest.raises(UserError):
            check_run_ids(pa.array(["fine", f"a{character}b"]), "query")


def test_empty_id_is_refused() -> None:
    with pytest.raises(UserError, match=r"^document id '' has white space in it or is empty"):
        check_run_ids(pa.array(["d", ""]), "document")
