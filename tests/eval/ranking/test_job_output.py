"""What a job's output is worth to a cell: by judgements, by answers, by language."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.ranking.job_output import measure_job
from tests.support.eval_output import finish, in_input_order, write_scored
from tests.support.input_files import candidate, nested_table, query, write
from transforms.base.errors import UserError
from transforms.input.inputs import inspect

# The first stage has d1 d2 d3, the reranker d3 d2 d1; q3 has no candidates.
ROWS = [(name, f"d{rank}", float(rank), rank) for name in ("q1", "q2") for rank in (1, 2, 3)]
THIRD = 0.5  # 1 / log2(4)
SECOND = 0.630930


@pytest.fixture
def output(tmp_path: Path) -> Path:
    write_scored(tmp_path / "out", ROWS)
    finish(tmp_path / "out")
    return tmp_path / "out"


def test_judgements_give_both_stages_and_the_list_s_recall(tmp_path: Path, output: Path) -> None:
    (tmp_path / "qrels").write_text("q1 0 d1 1\nq2 0 d2 1\nq3 0 d1 1\n")
    measured = measure_job(str(output), str(tmp_path / "qrels"), {})
    assert measured.rows[0] == {
        "measure": "nDCG@10",
        "first_stage": pytest.approx((1 + SECOND) / 3, abs=1e-6),
        "reranked": pytest.approx((THIRD + SECOND) / 3, abs=1e-6),
        "difference": pytest.approx((THIRD - 1) / 3, abs=1e-6),
    }
    assert (measured.rows[-1]["measure"], measured.rows[-1]["reranked"]) == ("SetR", pytest.approx(2 / 3))
    assert list(measured.values) == [row["measure"] for row in measured.rows]
    assert measured.values["nDCG@10"] == pytest.approx({"q1": THIRD, "q2": SECOND}, abs=1e-6)  # q3 has no candidates
    assert (measured.counts["queries_without_candidates"], measured.depth, measured.languages) == (1, 3, {})


def test_languages_are_measured_apart_where_there_are_several(tmp_path: Path, output: Path) -> None:
    (tmp_path / "qrels").write_text("q1 0 d1 1\nq2 0 d2 1\nq3 0 d1 1\n")
    languages = {"q1": "th", "q2": "de", "q3": "de", "unjudged": "fr"}
    second = pytest.approx(SECOND / 2, abs=1e-6)  # q3 is without candidates and counts 0
    assert measure_job(str(output), str(tmp_path / "qrels"), languages).languages == {
        "de": {"queries": 2, "first_stage": second, "reranked": second},
        "th": {"queries": 1, "first_stage": 1.0, "reranked": pytest.approx(THIRD)},
    }
    assert measure_job(str(output), str(tmp_path / "qrels"), dict.fromkeys(languages, "de")).languages == {}


def test_identical_ids_are_left_out_where_that_is_asked_for(tmp_path: Path) -> None:
    write_scored(tmp_path / "out", [("d1", "d1", 9.0, 1), ("d1", "d2", 1.0, 2)])
    finish(tmp_path / "out")
    (tmp_path / "qrels").write_text("d1 0 d2 1\n")
    whole = measure_job(str(tmp_path / "out"), str(tmp_path / "qrels"), {})
    assert whole.rows[0]["reranked"] == pytest.approx(SECOND, abs=1e-6)
    dropped = measure_job(str(tmp_path / "out"), str(tmp_path / "qrels"), {}, exclude_identical_ids=True)
    assert dropped.rows[0]["reranked"] == 1.0


def test_answers_are_looked_for_in_the_candidates_that_the_job_read(tmp_path: Path, output: Path) -> None:
    texts = [candidate("d1", "nothing"), candidate("d2", "nothing"), candidate("d3", "in Köln am Rhein")]
    lists = [query("q1", texts), query("q2", texts)]
    path = write(tmp_path / "candidates.parquet", nested_table(lists))
    [file] = inspect([path])
    inputs = [{"path": path, "size": file.size, "footer_hash": file.footer_hash}]
    (output / "job.json").write_text(json.dumps({"inputs": inputs, "options": {}}))
    answers = [{"query_id": "q1", "answers": ["Köln"]}, {"query_id": "q2", "answers": ["Bonn"]}]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in answers))
    measured = measure_job(str(output), str(tmp_path / "answers.jsonl"), {})
    assert [(row["measure"], row["reranked"]) for row in measured.rows] == [("Recall@10", 0.5), ("Recall", 0.5)]


def test_judgements_of_other_data_are_an_error(tmp_path: Path, output: Path) -> None:
    (tmp_path / "qrels").write_text("other 0 d1 1\n")
    with pytest.raises(UserError, match="no query in common with the candidates"):
        measure_job(str(output), str(tmp_path / "qrels"), {})


def test_a_job_that_has_scored_nothing_is_not_taken_for_one_of_other_data(tmp_path: Path) -> None:
    write_scored(tmp_path / "out", [])
    finish(tmp_path / "out")
    (tmp_path / "qrels").write_text("q1 0 d1 1\n")
    with pytest.raises(UserError, match=r"out: its job has scored no pair; give one that has$"):
        measure_job(str(tmp_path / "out"), str(tmp_path / "qrels"), {})


def test_over_the_order_of_the_input_there_is_no_difference(tmp_path: Path, output: Path) -> None:
    in_input_order(output)
    (tmp_path / "qrels").write_text("q1 0 d1 1\nq2 0 d2 1\nq3 0 d1 1\n")
    measured = measure_job(str(output), str(tmp_path / "qrels"), {})
    assert measured.rows[0] == {
        "measure": "nDCG@10",
        "input_order": pytest.approx((1 + SECOND) / 3, abs=1e-6),
        "reranked": pytest.approx((THIRD + SECOND) / 3, abs=1e-6),
    }
