"""The documents that moved, with their texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.__main__ import main
from eval.ranking.moved import moved
from tests.support import tiny
from tests.support.eval_output import compared
from tests.support.input_files import candidate, nested_table, write
from tests.support.input_files import query as listed
from tests.support.job_run import rerank, rows

TEXTS = {"hit": "the answer", "d1": "un\x1b[31msafe <b>words</b>", "d2": "long " * 500}


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """A real job's output in `out`, and runs in which the documents of its first query stand otherwise."""
    lists = [listed(name, [candidate(i, text) for i, text in TEXTS.items()], "what & why") for name in ("q1", "q2")]
    write(tmp_path / "in.parquet", nested_table(lists))
    assert rerank(tmp_path / "in.parquet", tmp_path / "out", tiny.bert(tmp_path / "model")) == 0
    (tmp_path / "qrels").write_text("q1 0 hit 2\nq1 0 d2 0\nq2 0 hit 1\n")
    order = [row["doc_id"] for row in rows(tmp_path / "out") if row["query_id"] == "q1"]
    lines = [f"q1 Q0 {document} 1 {-rank} t\n" for rank, document in enumerate(["absent", *order])]
    (tmp_path / "later").write_text("".join(lines))
    return tmp_path


def test_documents_that_moved_are_shown_with_ranks_grade_and_text(
    jobs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = compared(jobs, str(jobs / "out"), str(jobs / "later"), "--show", "2", "--texts")
    changed = {entry["query_id"]: entry for entry in report["comparisons"][0]["changed"]}
    order = [row["doc_id"] for row in rows(jobs / "out") if row["query_id"] == "q1"]
    grades = {"hit": 2, "d2": 0}
    expected = [
        {"doc_id": i, "baseline_rank": rank, "run_rank": rank + 1, "grade": grades.get(i), "text": TEXTS[i]}
        for rank, i in enumerate(order, start=1)
    ]
    assert changed["q1"]["query"] == "what & why"
    documents = changed["q1"]["moved"]
    assert documents[0]["doc_id"] == "hit"  # the relevant one comes first
    assert documents[1] == {"doc_id": "absent", "baseline_rank": None, "run_rank": 1, "grade": None, "text": None}
    assert sorted(documents[:1] + documents[2:], key=lambda each: each["baseline_rank"]) == expected
    assert all(each["run_rank"] is None for each in changed["q2"]["moved"])
    printed = capsys.readouterr().out
    place = order.index("hit") + 1
    assert "q1: what & why\n   out  later  grade  document\n" in printed
    assert f"\n  {place:>4}  {place + 1:>5}      2  hit: the answer\n" in printed
    assert "\n  none      1   none  absent: (text unavailable)\n" in printed
    assert r"d1: un\x1b[31msafe <b>words</b>" in printed
    assert "\x1b" not in printed
    assert "d2: " + ("long " * 20) + "...\n" in printed


def test_the_page_has_the_same_escaped_and_loads_nothing(jobs: Path) -> None:
    compared(jobs, str(jobs / "later"), str(jobs / "out"), "--html", str(jobs / "page.html"))
    page = (jobs / "page.html").read_text(encoding="utf-8")
    assert r"un\x1b[31msafe &lt;b&gt;words&lt;/b&gt;<small>d1</small>" in page
    assert "what &amp; why<small>q1: " in page
    assert "\x1b" not in page
    assert "(text unavailable)<small>absent</small>" in page
    assert "<script" not in page
    assert "default-src 'none'" in page


def test_texts_come_from_kept_columns_where_the_input_is_gone(jobs: Path) -> None:
    source = jobs / "in.parquet"
    words = [str(jobs / "kept"), str(jobs / "later"), "--texts"]
    assert (
        rerank(source, jobs / "kept", jobs / "model", "--keep_columns", "query,text", "--text_template", "{text}") == 0
    )
    source.unlink()
    documents = compared(jobs, *words)["comparisons"][0]["changed"][0]["moved"]
    assert {each["doc_id"]: each["text"] for each in documents if each["baseline_rank"]} == TEXTS
    assert main(["compare", str(jobs / "out"), *words[1:], "--qrels", str(jobs / "qrels")]) == 2


def test_the_documents_that_moved_most_near_the_top_are_named() -> None:
    before = [f"d{number}" for number in range(20)]
    after = [*before[1:], "d0"]
    documents = moved(before, after, {"d19": 1, "d5": 0})
    assert [each["doc_id"] for each in documents] == ["d19", "d0", *(f"d{number}" for number in range(1, 9))]
    assert documents[0] == {"doc_id": "d19", "baseline_rank": 20, "run_rank": 19, "grade": 1}
    assert moved(before, before, {}) == []
