from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.ranking.runs import QueryRankings, RankedLists, open_source
from tests.support.eval_output import finish, in_input_order, write_rejected, write_scored
from tests.support.object_store import ObjectStore
from transforms.base.errors import UserError
from transforms.schema import SCORED

INFINITY = float("inf")


def read(source: RankedLists) -> dict[str, dict[str, list[tuple[float, str]]]]:
    """All lists, each sorted, best last."""
    return {query: {stage: sorted(pairs) for stage, pairs in stages.items()} for query, stages in source.lists}


def test_a_job_has_its_first_stage_and_its_reranked_order(tmp_path: Path) -> None:
    write_scored(tmp_path, [("q1", "a", 0.25, 1), ("q1", "b", 0.5, 2), ("a query", "a doc", -1.0, 1)])
    write_scored(tmp_path, [], part="part-00000-00001-00000")
    write_scored(tmp_path, [("q2", "a", 0.1, 7)], part="part-00001-00000-00000")
    finish(tmp_path, top_k=None)
    source = open_source(f"{tmp_path}/")
    assert (source.stages, source.notes, source.job) == (("first_stage", "reranked"), [], {"options": {"top_k": None}})
    assert read(source) == {
        "q1": {"reranked": [(0.25, "a"), (0.5, "b")], "first_stage": [(-2.0, "b"), (-1.0, "a")]},
        "a query": {"reranked": [(-1.0, "a doc")], "first_stage": [(-1.0, "a doc")]},
        "q2": {"reranked": [(0.10000000149011612, "a")], "first_stage": [(-7.0, "a")]},
    }


def test_a_list_that_spans_row_groups_and_batches_is_one_list(tmp_path: Path) -> None:
    rows = [("q", f"d{place}", -float(place), place) for place in range(1, 70_001)] + [("r", "d", 1.0, 1)]
    write_scored(tmp_path, rows)
    lists = read(open_source(str(tmp_path)))
    assert {query: len(stages["reranked"]) for query, stages in lists.items()} == {"q": 70_000, "r": 1}


def test_what_is_not_a_part_is_skipped(tmp_path: Path) -> None:
    write_scored(tmp_path, [("q", "a", 1.0, 1)])
    (tmp_path / "scored" / ".part-00000-00001-00000.parquet.5f0e.tmp").write_bytes(b"half")
    (tmp_path / "scored" / "notes.txt").write_text("mine")
    assert read(open_source(str(tmp_path))) == {"q": {"reranked": [(1.0, "a")], "first_stage": [(-1.0, "a")]}}


def test_rejected_candidates_stay_in_the_first_stage_alone(tmp_path: Path) -> None:
    write_scored(tmp_path, [("q1", "a", 1.0, 1), ("q1", "b", 2.0, 3)])
    rejected = [("q1", "lost"), ("q1", "b"), ("q2", "gone"), ("q2", "gone"), ("q3", None), (None, "d"), (None, None)]
    write_rejected(tmp_path, [{"query_id": query, "doc_id": document} for query, document in rejected])
    write_rejected(tmp_path, [{"query_id": "q4", "doc_id": "a"}], part="part-00000-00001-00000")  # not committed
    finish(tmp_path)
    source = open_source(str(tmp_path))
    assert read(source) == {
        "q1": {"reranked": [(1.0, "a"), (2.0, "b")], "first_stage": [(-INFINITY, "lost"), (-3.0, "b"), (-1.0, "a")]},
        "q2": {"reranked": [], "first_stage": [(-INFINITY, "gone")]},
    }
    assert source.notes == [
        "rejected input rows: 7; the first stage keeps rejected candidates, last in their lists; the reranked lists "
        "lack them"
    ]


def test_a_finished_job_that_lacks_a_part_is_refused(tmp_path: Path) -> None:
    write_scored(tmp_path, [("q", "a", 1.0, 1)])
    finish(tmp_path)
    (tmp_path / "report.json").write_text('{"shards": 2}')
    with pytest.raises(UserError) as refused:
        open_source(str(tmp_path))
    assert str(refused.value) == (
        f"{tmp_path}: 1 of the 2 parts that report.json counts are there; give the job's command again"
    )
    write_scored(tmp_path, [("r", "a", 1.0, 1)], part="part-00000-00001-00000")
    assert read(open_source(str(tmp_path))).keys() == {"q", "r"}


def test_an_unfinished_job_is_said_to_be_one(tmp_path: Path) -> None:
    write_scored(tmp_path, [("q", "a", 1.0, 1)])
    assert open_source(str(tmp_path)).notes == [
        "the job has not finished (no _SUCCESS): queries not yet scored count as without candidates"
    ]


def test_without_its_whole_first_stage_a_job_shows_the_reranked_order_alone(tmp_path: Path) -> None:
    write_scored(tmp_path / "cut", [("q", "a", 1.0, 9)])
    finish(tmp_path / "cut", top_k=1)
    write_scored(tmp_path / "unranked", [("q", "a", 1.0, 1), ("q", "b", 0.5, None)])
    finish(tmp_path / "unranked")
    cut, unranked = open_source(str(tmp_path / "cut")), open_source(str(tmp_path / "unranked"))
    assert cut.notes == [
        "the job kept the best 1 of each list (--top_k): recall ends there, and the first stage, whose other "
        "candidates are not in the output, is not shown"
    ]
    assert unranked.notes == ["candidates without first_stage_rank: 1; the first stage is not shown"]
    assert read(cut) == {"q": {"reranked": [(1.0, "a")]}}
    assert read(unranked) == {"q": {"reranked": [(0.5, "b"), (1.0, "a")]}}


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_run_is_read_in_any_order_of_lines_and_in_double_precision(tmp_path: Path, compress: type[bytes]) -> None:
    path = tmp_path / "run"
    path.write_bytes(compress(b"q1 Q0 a 9 0.1 tag\nq2\tQ0\ta doc\t1\t-1e3\tmy tag\n\nq1  Q0 b 1 0.10000000001 tag\r\n"))
    source = open_source(str(path))
    assert (source.stages, source.notes, source.job) == (("run",), [], {})
    assert list(source.lists) == [
        QueryRankings("q1", {"run": [(0.1, "a"), (0.10000000001, "b")]}),
        QueryRankings("q2", {"run": [(-1000.0, "a doc")]}),
    ]


BAD_RUNS = {
    "qrels": (b"q 0 a 1\n", "line 1: expected 6 fields, 'query Q0 document rank score tag', found 4"),
    "a space in an id": (b"q Q0 a 1 2 t\nq Q0 an id 2 1 t\n", "line 2: expected 6 fields"),
    "separators": (b"q Q0 a 1 1_0 t\n", "line 1: the score '1_0' is not finite"),
    "words": (b"q Q0 a 1 high t\n", "line 1: the score 'high' is not finite"),
    "infinity": (b"q Q0 a 1 -inf t\n", "line 1: the score '-inf' is not finite"),
    "nan": (b"q Q0 a 1 2 t\nq Q0 b 2 nan t\n", "line 2: the score 'nan' is not finite"),
    "Latin-1": (b"q Q0 caf\xe9 1 2 t\n", "line 1: not UTF-8"),
    "damaged gzip": (b"\x1f\x8b" + b"x" * 50, "cannot be read"),
}


@pytest.mark.parametrize(("content", "message"), BAD_RUNS.values(), ids=BAD_RUNS.keys())
def test_a_bad_run_is_one_line_that_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "run"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        list(open_source(str(path)).lists)
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


def test_what_is_no_output_of_a_job_is_refused(tmp_path: Path) -> None:
    part = tmp_path / "scored" / "part-00000-00000-00000.parquet"
    with pytest.raises(UserError, match="not found; give a job's output directory or a TREC run"):
        open_source(str(tmp_path / "absent"))
    with pytest.raises(UserError, match=r"no scored/part-\*.parquet in it; give the directory that the job's --output"):
        open_source(str(tmp_path))

    part.parent.mkdir()
    pq.write_table(pa.table({"query_id": ["q"], "doc_id": ["d"], "relevance": [1.0]}), part)
    with pytest.raises(UserError, match="^" + str(part) + ": no column first_stage_rank, score"):
        open_source(str(tmp_path))

    part.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(
        UserError, match="^" + str(part) + ": cannot be read .*; delete it and run the job's command again"
    ):
        open_source(str(tmp_path))


def test_damaged_and_impossible_parts_are_refused(tmp_path: Path) -> None:
    write_scored(tmp_path / "twice", [("q", "a", 1.0, 1)])
    write_scored(tmp_path / "twice", [("q", "b", 1.0, 1)], part="part-00001-00000-00000")
    with pytest.raises(UserError, match="query 'q' is elsewhere in scored/ too"):
        list(open_source(str(tmp_path / "twice")).lists)

    write_scored(tmp_path / "double", [("q", "a", 1.0, 1), ("q", "b", 0.5, 2), ("q", "b", 0.25, 3)])
    with pytest.raises(UserError, match="query 'q' lists document 'b' 2 times; keep it once"):
        list(open_source(str(tmp_path / "double")).lists)

    write_scored(tmp_path / "nan", [("q", "a", float("nan"), 1)])
    with pytest.raises(UserError, match="query 'q' has a score that is not a finite number"):
        list(open_source(str(tmp_path / "nan")).lists)

    rows = {name: [None] for name in SCORED.names} | {"query_id": ["q"], "score": [1.0], "first_stage_rank": [1]}
    path = tmp_path / "null" / "scored" / "part-00000-00000-00000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(rows), path)
    with pytest.raises(UserError, match="cannot be read"):
        list(open_source(str(tmp_path / "null")).lists)

    write_scored(tmp_path / "pages", [(f"q{number}", "a", number / 7, 1) for number in range(2000)])
    path = tmp_path / "pages" / "scored" / "part-00000-00000-00000.parquet"
    content = bytearray(path.read_bytes())
    content[100:2000] = b"\xff" * 1900
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        list(open_source(str(tmp_path / "pages")).lists)

    write_scored(tmp_path / "json", [("q", "a", 1.0, 1)])
    (tmp_path / "json" / "job.json").write_text("{")
    with pytest.raises(UserError, match=r"job\.json: not JSON"):
        open_source(str(tmp_path / "json"))
    for text in (
        "[1]",
        '{"options": 1}',
        '{"inputs": {}}',
        '{"inputs": [1]}',
        '{"inputs": [{"path": 1, "footer_hash": "a"}]}',
    ):
        (tmp_path / "json" / "job.json").write_text(text)
        with pytest.raises(UserError, match=r"job\.json: not what a job writes; is this a job's output directory\?$"):
            open_source(str(tmp_path / "json"))


def test_a_job_and_a_run_are_read_from_an_object_store(tmp_path: Path) -> None:
    write_scored(tmp_path, [("q", "a", 1.0, 1)])
    name = "scored/part-00000-00000-00000.parquet"
    ObjectStore.objects.clear()
    ObjectStore.objects |= {
        f"mem://bucket/out/{name}": (tmp_path / name).read_bytes(),
        "mem://bucket/run": b"q Q0 a 1 1.5 tag\n",
    }
    job, run = open_source("mem://bucket/out/"), open_source("mem://bucket/run")
    assert read(job) == {"q": {"reranked": [(1.0, "a")], "first_stage": [(-1.0, "a")]}}
    assert read(run) == {"q": {"run": [(1.5, "a")]}}
    with pytest.raises(UserError, match=r"^mem://bucket/ou: not found; give a job's output directory or a TREC run$"):
        open_source("mem://bucket/ou")
    with pytest.raises(UserError, match=r"^ftp://host/out: cannot be read \(Unable to get filesystem"):
        open_source("ftp://host/out")


def test_the_order_of_the_input_is_no_first_stage(tmp_path: Path) -> None:
    write_scored(tmp_path, [("q", "a", 0.25, 1), ("q", "b", 0.5, 2)])
    in_input_order(tmp_path)
    finish(tmp_path)
    write_scored(tmp_path, [], part="part-00000-00001-00000")
    source = open_source(str(tmp_path))
    assert source.stages == ("input_order", "reranked")
    assert source.notes == [
        "no candidate has a rank or a score: beside the reranked order stands the order of the input"
    ]
    assert read(source) == {"q": {"reranked": [(0.25, "a"), (0.5, "b")], "input_order": [(-2.0, "b"), (-1.0, "a")]}}
    write_scored(tmp_path, [("r", "a", 0.25, 1)], part="part-00000-00002-00000")  # of a shard with ranks
    assert open_source(str(tmp_path)).stages == ("first_stage", "reranked")
