"""Mistakes by which tables have gone wrong, end to end. That queries without candidates count, that identical ids can
be left out and that a constant scorer gains nothing is in test_measure.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.__main__ import main
from eval.ranking.answers import holds, normalise, read_answers, spell
from eval.ranking.passages import judge


def measure(folder: Path, run: str, qrels: str, *measures: str) -> dict[str, Any]:
    (folder / "run").write_text(run, encoding="utf-8")
    (folder / "qrels").write_text(qrels, encoding="utf-8")
    arguments = ["--qrels", str(folder / "qrels"), "--measures", *measures, "--json", str(folder / "report.json")]
    assert main(["measure", str(folder / "run"), *arguments]) == 0
    return dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))


def means(report: dict[str, Any]) -> dict[str, float]:
    return {row["measure"]: round(row["run"], 4) for row in report["measures"]}


def test_grade_1_counts_for_ndcg_and_not_for_recall_and_ap_where_grade_2_is_asked_for(tmp_path: Path) -> None:
    # Ranking: grade 1, 0, 2; a fourth of grade 2 is not found. AP: (1/1 + 2/3) / 3; from grade 2: (1/3) / 2.
    # nDCG: (1 + 2/log2(4)) / (2 + 2/log2(3) + 1/log2(4)) = 2 / 3.7619.
    run = "q Q0 a 1 3 t\nq Q0 b 2 2 t\nq Q0 c 3 1 t\n"
    qrels = "q 0 a 1\nq 0 b 0\nq 0 c 2\nq 0 d 2\n"
    got = measure(tmp_path, run, qrels, "R@100", "R(rel=2)@100", "AP", "AP(rel=2)", "nDCG@10")
    assert means(got) == {
        "R@100": 0.6667,
        "R(rel=2)@100": 0.5,
        "AP": 0.5556,
        "AP(rel=2)": 0.1667,
        "nDCG@10": 0.5317,
        "SetR": 0.6667,
    }


def test_two_sets_of_judgements_of_one_collection_are_distinguished(tmp_path: Path) -> None:
    run = "q Q0 a 1 2 t\nq Q0 b 2 1 t\n"
    first, second = (measure(tmp_path, run, qrels, "nDCG@10") for qrels in ("q 0 a 1\n", "q 0 b 1\n"))
    assert (means(first)["nDCG@10"], means(second)["nDCG@10"]) == (1.0, 0.6309)
    assert first["qrels_sha256"] != second["qrels_sha256"]


@pytest.mark.parametrize("document", ["<dbpedia:Paris>", "32589#0", "#1", "4983", "007", "MED-10", "a/b?c=d&e"])
@pytest.mark.parametrize("form", ["{query} 0 {document} 1\n", "query-id\tcorpus-id\tscore\n{query}\t{document}\t1\n"])
def test_ids_are_taken_as_they_are(tmp_path: Path, document: str, form: str) -> None:
    run = f"1#q Q0 7 1 9 t\n1#q Q0 {document} 2 3 t\n"
    got = measure(tmp_path, run, form.format(query="1#q", document=document), "RR@10")
    assert (means(got)["RR@10"], got["counts"]["judged_candidates"]) == (0.5, 1)


def test_integer_ids_in_json_and_parquet_are_their_decimal_strings(tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"query_id": 12345678901234567, "answers": ["Paris"]}\n')
    pairs = {"query_id": [12345678901234567], "query": ["?"], "doc_id": [7], "text": ["Paris"]}
    pq.write_table(pa.table(pairs), tmp_path / "c.parquet")
    grades, _ = judge(read_answers(str(answers)), [str(tmp_path / "c.parquet")])
    assert grades == {"12345678901234567": {"7": 1}}


def test_five_thousand_ties_are_one_order_and_counted(tmp_path: Path) -> None:
    # By id, descending, the relevant d0000 comes last: it gains nothing from its place in the file.
    run = "".join(f"q Q0 d{number:04d} 1 0.5 t\n" for number in range(5000))
    got = measure(tmp_path, run, "q 0 d0000 1\n", "nDCG@10", "RR")
    assert means(got) == {"nDCG@10": 0.0, "RR": 0.0002, "SetR": 1.0}
    assert (got["counts"]["tied_candidates"], got["counts"]["queries_with_ties"]) == (4999, 1)


def test_the_recall_of_the_candidates_stands_beside_every_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    got = measure(tmp_path, "q Q0 a 1 1 t\n", "q 0 a 1\nq 0 b 1\nq 0 c 1\nq 0 d 1\n", "nDCG@10")
    assert means(got) == {"nDCG@10": 0.3904, "SetR": 0.25}
    assert "SetR (recall of the list)  0.2500\n" in capsys.readouterr().out


TEXTS = {
    "an answer at the end of a long document": ("lorem ipsum " * 3100 + "Paris", "paris", True),
    "mojibake is not repaired": ("MÃ¼nchen", "München", False),
    "mojibake in both": ("in MÃ¼nchen", "mã¼nchen", True),
    "an empty document": ("", "Paris", False),
    "characters beyond the basic plane": ("𐐀 and 𠮷野家", "𠮷野家", True),
}


@pytest.mark.parametrize(("passage", "answer", "expected"), TEXTS.values(), ids=TEXTS.keys())
def test_odd_texts_are_searched_as_they_are(passage: str, answer: str, expected: bool) -> None:
    assert holds(passage, [spell(normalise(answer))]) is expected
