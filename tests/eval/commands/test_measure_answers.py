"""`python -m eval measure --answers` from end to end, against figures worked out by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.__main__ import main
from eval.ranking.passages import judge
from tests.support.eval_output import finish, write_rejected, write_scored
from tests.support.job_run import rerank
from transforms.input.parquet import read_footer

# A document's id, title and text. The answer of q1 is in a title, that of q2 in a text, that of q3 begins in the title
# and ends in the text; q4's is but a part of a word, and q5, of which no answer is known, is left out.
LISTS: dict[str, list[tuple[str, str | None, str]]] = {
    "q1": [("a", None, "The capital is Rome."), ("b", "PARIS", "the capital")],
    "q2": [("a", None, "首都は「東京」です"), ("b", "東京都", "首都は東京です")],
    "q3": [("a", "York", "New"), ("b", "New", "York in 1898")],
    "q4": [("a", None, "กรุงเทพมหานคร"), ("b", None, ""), ("c", "", "nothing")],
    "q5": [("a", None, "anything")],
}
ANSWERS = {"q1": ["Lutetia", "Paris"], "q2": ["東京"], "q3": ["new york"], "q4": ["กรุงเทพ"], "q6": ["Oslo"]}


def nested(lists: dict[str, list[tuple[str, str | None, str]]]) -> pa.Table:
    rows = [
        {
            "query_id": query_id,
            "query": "?",
            "candidates": [dict(zip(("doc_id", "title", "text"), document, strict=True)) for document in documents],
        }
        for query_id, documents in lists.items()
    ]
    return pa.Table.from_pylist(rows)


def flat(lists: dict[str, list[tuple[str, str | None, str]]]) -> pa.Table:
    rows = [
        {"query_id": query_id, "query": "?", "doc_id": doc_id, "title": title, "text": text}
        for query_id, documents in lists.items()
        for doc_id, title, text in documents
    ]
    return pa.Table.from_pylist(rows[::-1])  # in no order that a job could take as it is


@pytest.fixture
def answers(tmp_path: Path) -> str:
    path = tmp_path / "answers.jsonl"
    lines = [json.dumps({"query_id": query_id, "answers": strings}) for query_id, strings in ANSWERS.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    path = tmp_path / "candidates.parquet"
    pq.write_table(nested(LISTS), path, row_group_size=2)
    return path


@pytest.fixture
def out(tmp_path: Path, candidates: Path) -> Path:
    """A job's output over the candidates that turns each list round."""
    rows = [
        (query_id, document[0], float(place), place + 1)
        for query_id, documents in LISTS.items()
        for place, document in enumerate(documents)
    ]
    write_scored(tmp_path / "out", rows)
    finish(tmp_path / "out")
    inputs = [{"path": str(candidates), "size": 1, "footer_hash": read_footer(str(candidates)).hash}]
    (tmp_path / "out" / "job.json").write_text(json.dumps({"inputs": inputs, "options": {}}))
    return tmp_path / "out"


def measured(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    path = tmp_path / "report.json"
    assert main(["measure", *arguments, "--json", str(path)]) == 0
    return dict(json.loads(path.read_text(encoding="utf-8")))


def test_first_stage_and_reranked_side_by_side(
    tmp_path: Path, out: Path, answers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # Of the first stage's first documents that of q2 alone holds an answer, of the reranked lists' those of q1 and q3.
    report = measured(tmp_path, str(out), "--answers", answers, "--measures", "Recall@1", "Recall@2")
    assert report["measures"] == [
        {"measure": "Recall@1", "first_stage": 0.2, "reranked": 0.4, "difference": 0.2},
        {"measure": "Recall@2", "first_stage": 0.6, "reranked": 0.6, "difference": 0.0},
        {"measure": "Recall", "first_stage": 0.6, "reranked": 0.6, "difference": 0.0},
    ]
    assert (
        report["counts"] | {"judged_candidates": 3, "candidates": 9, "queries_without_candidates": 1}
        == (report["counts"])
    )
    assert capsys.readouterr().out == (
        """\
measure                     first stage  reranked  difference
Recall@1                         0.2000    0.4000     +0.2000
Recall@2                         0.6000    0.6000     +0.0000
Recall (of the whole list)       0.6000    0.6000     +0.0000

queries     5 in the answers, 4 with candidates, 1 without (each counts 0)
candidates  9, of which 3 hold an answer
ties        none
note        queries with candidates that are not in the answers: 1; left out
"""
    )


def test_the_report_names_where_its_figures_are_from(tmp_path: Path, out: Path, answers: str, candidates: Path) -> None:
    report = measured(tmp_path, str(out), "--answers", answers)
    assert [row["measure"] for row in report["measures"]] == ["Recall@10", "Recall"]
    assert (report["answers"], report["candidates"]) == (answers, [str(candidates)])
    assert report["answers_sha256"] == "64236699a3c4b50c1b15b6910d018a408a2fb73acb1e0e2da45bdeabd80a595e"
    assert "qrels" not in report


def test_queries_without_candidates_are_left_out_on_demand(tmp_path: Path, out: Path, answers: str) -> None:
    report = measured(tmp_path, str(out), "--answers", answers, "--only_run_queries")
    assert report["measures"][0] == {"measure": "Recall@10", "first_stage": 0.75, "reranked": 0.75, "difference": 0.0}


@pytest.mark.parametrize("layout", [nested, flat])
def test_a_run_is_measured_with_candidates_of_either_layout(tmp_path: Path, answers: str, layout: Any) -> None:
    pq.write_table(layout(LISTS), tmp_path / "c.parquet", row_group_size=3)
    run = tmp_path / "run"
    run.write_text("q1 Q0 b 1 1 t\nq2 Q0 b 1 2 t\nq2 Q0 a 2 1 t\nq3 Q0 a 1 1 t\n")
    arguments = ["--answers", answers, "--candidates", str(tmp_path / "c*.parquet"), "--measures", "Recall@1"]
    report = measured(tmp_path, str(run), *arguments)
    assert report["measures"] == [{"measure": "Recall@1", "run": 0.2}, {"measure": "Recall", "run": 0.4}]


def test_values_of_each_query(tmp_path: Path, out: Path, answers: str) -> None:
    path = tmp_path / "values.csv"
    assert main(["measure", str(out), "--answers", answers, "--measures", "Recall@1", "--per_query", str(path)]) == 0
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["query_id"] in ("q2", "q6")]
    assert [(row["query_id"], row["measure"], float(row["first_stage"]), float(row["reranked"])) for row in rows] == [
        ("q2", "Recall@1", 1.0, 0.0),
        ("q2", "Recall", 1.0, 1.0),
        ("q6", "Recall@1", 0.0, 0.0),
        ("q6", "Recall", 0.0, 0.0),
    ]


def test_a_real_job_is_measured_by_its_own_candidates(tmp_path: Path, answers: str, candidates: Path) -> None:
    assert rerank(candidates, tmp_path / "out", "small-cross-encoder") == 0
    report = measured(tmp_path, str(tmp_path / "out"), "--answers", answers)
    # The candidates have neither ranks nor scores.
    assert report["measures"][0] == {"measure": "Recall@10", "input_order": 0.6, "reranked": 0.6}


def test_a_job_of_json_lines_is_measured_by_what_it_made_of_them(
    tmp_path: Path, answers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps(row) + "\n" for row in nested(LISTS).to_pylist()]
    (tmp_path / "lists.jsonl").write_text("".join(lines), encoding="utf-8")
    assert rerank(tmp_path / "lists.jsonl", tmp_path / "out", "small-cross-encoder") == 0
    for location in (str(tmp_path / "out"), "out"):
        monkeypatch.chdir(tmp_path)
        assert measured(tmp_path, location, "--answers", answers)["measures"][0]["reranked"] == 0.6


def test_a_rejected_candidate_stays_in_the_first_stage_alone(tmp_path: Path, answers: str, candidates: Path) -> None:
    write_scored(tmp_path / "out", [("q1", "a", 1.0, 1), ("q2", "a", 1.0, 1)])
    write_rejected(tmp_path / "out", [{"query_id": "q1", "doc_id": "b"}])
    finish(tmp_path / "out")
    report = measured(tmp_path, str(tmp_path / "out"), "--answers", answers, "--candidates", str(candidates))
    assert report["measures"][1] == {"measure": "Recall", "first_stage": 0.4, "reranked": 0.2, "difference": -0.2}


def test_nulls_and_undecodable_texts_hold_nothing(tmp_path: Path) -> None:
    damaged = pa.array([b"Paris \xff", b"Paris", None, b"Paris", b"Paris"], pa.binary()).cast(pa.string(), safe=False)
    table = pa.table(
        {
            "query_id": ["q1", "q1", "q1", None, "q1"],
            "query": ["?"] * 5,
            "doc_id": ["bad", "good", "null", "lost", None],
            "text": pa.Array.from_buffers(pa.string(), 5, damaged.buffers()),
        }
    )
    pq.write_table(table, tmp_path / "c.parquet")
    grades, listed = judge({"q1": ["\nparis\n"]}, [str(tmp_path / "c.parquet")])
    assert grades == {"q1": {"good": 1}}
    assert listed.missing("q1", ["bad", "lost", "good", "null", "other"]) == ["lost", "other"]
    assert listed.missing("q2", ["good"]) == ["good"]


def test_odd_answers_are_reported(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text('{"query_id": "q1", "answers": []}\n{"query_id": "q2", "answers": [" "]}\n')
    assert measured(tmp_path, str(out), "--answers", str(path))["notes"] == [
        "queries with candidates that are not in the answers: 3; left out",
        "queries of the answers without one that has a letter, digit or sign: 2; they count 0 whatever their ranking",
        "no candidate holds an answer: are these the answers of this collection?",
    ]


MISTAKES: dict[str, tuple[list[str], str]] = {
    "both": (["OUT", "--qrels", "X", "--answers", "ANSWERS"], "argument --answers: not allowed with argument --qrels"),
    "candidates with qrels": (
        ["OUT", "--qrels", "X", "--candidates", "Y"],
        "--candidates: is of use with --answers alone; leave it out",
    ),
    "a measure of qrels": (
        ["OUT", "--answers", "ANSWERS", "--measures", "Recall@5", "nDCG@10", "Recall@0"],
        "--measures: cannot compute 'nDCG@10', 'Recall@0' by answers; give Recall@10 or another Recall@k",
    ),
    "a run without candidates": (
        ["RUN", "--answers", "ANSWERS"],
        "--candidates: no job.json names the candidate files; give them",
    ),
    "other candidates": (
        ["OUT", "--answers", "ANSWERS", "--candidates", "OTHER.parquet"],
        "--candidates: what the job read as CANDIDATES is not among these files; give those it read",
    ),
    "candidates of another run": (
        ["RUN", "--answers", "ANSWERS", "--candidates", "OTHER.parquet"],
        "RUN: query 'q1' lists 'a', which the candidate files do not; give all files that it was made from as",
    ),
    "a document of another list": (
        ["DEEP_RUN", "--answers", "ANSWERS", "--candidates", "OTHER.parquet"],
        "DEEP_RUN: query 'q3' lists 'b', which the candidate files do not; give all files that it was made from as",
    ),
    "no candidates there": (
        ["RUN", "--answers", "ANSWERS", "--candidates", "absent"],
        "input 'absent' matches no file",
    ),
    "the job's candidates as the table": (
        ["OUT", "--answers", "ANSWERS", "--per_query", "CANDIDATES"],
        "--per_query CANDIDATES: is a file that is read here; give the name of another",
    ),
    "answers as candidates": (
        ["RUN", "--answers", "ANSWERS", "--candidates", "ANSWERS"],
        "ANSWERS: not a Parquet file",
    ),
    "another collection": (
        ["OTHER_RUN", "--answers", "ANSWERS", "--candidates", "OTHER.parquet"],
        "OTHER_RUN and ANSWERS have no query in common: it has ids like 'x', the answers like 'q1', 'q2', 'q3'; give "
        "the answers of this collection",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path,
    out: Path,
    answers: str,
    candidates: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "RUN").write_text("q1 Q0 a 1 1 t\nq2 Q0 a 1 1 t\nq3 Q0 a 1 1 t\n")
    (tmp_path / "OTHER_RUN").write_text("x Q0 a 1 1 t\n")
    (tmp_path / "DEEP_RUN").write_text("q3 Q0 a 1 2 t\nq3 Q0 b 2 1 t\n")
    pq.write_table(nested({"q3": [("a", None, "text")], "q1": [("b", None, "")]}), tmp_path / "OTHER.parquet")
    places = {"OUT": str(out), "ANSWERS": answers, "CANDIDATES": str(candidates)}
    assert main(["measure", *(places.get(argument, argument) for argument in arguments)]) == 2
    printed = capsys.readouterr().err
    expected = message.replace("CANDIDATES", str(candidates)).replace("ANSWERS", answers)
    assert printed.replace(str(tmp_path / "absent"), "absent").startswith(f"error: {expected}")
    assert printed.count("\n") == 1


def test_a_file_that_changed_since_the_job_is_refused(
    out: Path, answers: str, candidates: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(nested({**LISTS, "q9": []}), candidates)
    assert main(["measure", str(out), "--answers", answers]) == 2
    assert capsys.readouterr().err.startswith(f"error: --candidates: what the job read as {candidates} is not among")
