"""`python -m eval order`, on rankings whose figures are worked out by hand."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from eval.__main__ import main
from eval.commands import order
from eval.commands.order import RankingAgreement, compare
from tests.support.eval_output import finish, write_rejected, write_scored

LETTERS = "abcdefghijkl"
# q1's relevant document is at place 1 in BEST and at place 2 in WORST: nDCG@10 1 and 1/log2(3).
# q2 is alike in both, its relevant document at place 1. q3 has no candidates: 0.
QRELS = "q1 0 a 1\nq2 0 x 1\nq3 0 z 1\n"
BEST = {"q1": LETTERS, "q2": "xy"}
WORST = {"q1": "ba" + LETTERS[2:], "q2": "xy"}
RANDOM = {"q1": LETTERS[::-1], "q2": "yx"}


def write(folder: Path, rankings: Mapping[str, str], order: str | None, **fields: Any) -> str:
    """A finished job's output with these rankings, a document a letter."""
    rows = [
        (query, document, -float(place), 1)
        for query, listed in rankings.items()
        for place, document in enumerate(listed)
    ]
    write_scored(folder, rows)
    finish(folder)
    job = {
        "options": {"candidate_order": order},
        "inputs": [{"path": "i", "footer_hash": "h"}],
        "model": {"model": "m"},
    } | fields
    (folder / "job.json").write_text(json.dumps(job))
    return str(folder)


@pytest.fixture
def qrels(tmp_path: Path) -> str:
    (tmp_path / "qrels").write_text(QRELS)
    return str(tmp_path / "qrels")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("abcd", "abcd", RankingAgreement(1, 0, 1.0, {1: 0, 5: 0, 10: 0})),
        ("abcd", "dcba", RankingAgreement(1, 0, -1.0, {1: 1, 5: 0, 10: 0})),
        ("abcd", "abdc", RankingAgreement(1, 0, 4 / 6, {1: 0, 5: 0, 10: 0})),  # of 6 pairs, 5 agree and 1 does not
        ("abcdef", "abcdfe", RankingAgreement(1, 0, 13 / 15, {1: 0, 5: 1, 10: 0})),
        ("a", "a", RankingAgreement(1, 0, None, {1: 0, 5: 0, 10: 0})),
        ("", "a", RankingAgreement(1, 1, None, {1: 1, 5: 1, 10: 1})),
        (
            "abcx",
            "cab",
            RankingAgreement(1, 1, -1 / 3, {1: 1, 5: 1, 10: 1}),
        ),  # over a, b and c: 1 pair agrees, 2 do not
    ],
)
def test_compare(first: str, second: str, expected: RankingAgreement) -> None:
    got = compare({"q": first, "only here": "a"}, {"q": second, "only there": "a"})
    assert got._replace(kendall_tau=None) == expected._replace(kendall_tau=None)
    assert got.kendall_tau == (None if expected.kendall_tau is None else pytest.approx(expected.kendall_tau))


def test_compare_averages_over_queries() -> None:
    got = compare({"q1": "ab", "q2": "ab", "q3": "a"}, {"q3": "a", "q2": "ba", "q1": "ab"})
    assert got == RankingAgreement(3, 0, 0.0, {1: 1 / 3, 5: 0, 10: 0})


def test_reads_outputs(tmp_path: Path, qrels: str, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = [
        write(tmp_path / "1", BEST, "best_first"),
        write(tmp_path / "2", WORST, "worst_first"),
        write(tmp_path / "3", RANDOM, "random:1"),
    ]
    assert main(["order", *outputs, "--qrels", qrels, "--json", str(tmp_path / "report.json")]) == 0
    assert capsys.readouterr().out == (
        "order        nDCG@10\n"
        "best_first    0.6667\n"
        "worst_first   0.5436\n"
        "random:1      0.2103\n"
        "\n"
        "orders                   queries  Kendall's tau  top 1 changed  top 5 changed  top 10 changed\n"
        "best_first, worst_first        2         0.9848          50.0%           0.0%            0.0%\n"
        "best_first, random:1           2        -1.0000         100.0%          50.0%           50.0%\n"
        "worst_first, random:1          2        -0.9848         100.0%          50.0%           50.0%\n"
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["order"] for row in report["orders"]] == ["best_first", "worst_first", "random:1"]
    assert report["orders"][1]["nDCG@10"] == pytest.approx(0.5436432511904858)
    assert report["comparisons"][1] == {
        "orders": ["best_first", "random:1"],
        "queries": 2,
        "one_sided": 0,
        "kendall_tau": pytest.approx(-1),
        "changed": {"1": 1.0, "5": 0.5, "10": 0.5},
    }


def test_reports_what_one_output_lacks(tmp_path: Path, qrels: str, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = [write(tmp_path / "1", BEST, "best_first"), write(tmp_path / "2", BEST | {"q2": "x"}, "worst_first")]
    write_rejected(tmp_path / "2", [{"query_id": "q2", "doc_id": "y", "reason": "out_of_memory"}])
    (tmp_path / "2" / "_SUCCESS").unlink()
    assert main(["order", *outputs, "--qrels", qrels]) == 0
    out = capsys.readouterr().out
    assert "note: best_first, worst_first: documents that one of the two lacks: 1; not in tau" in out
    assert "note: worst_first: the job has not finished" in out
    assert "note: worst_first: rejected input rows: 1" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["1"], "nothing to compare: give two or more output directories, or --input"),
        (["1", "1"], "have the same order, best_first"),
        (["1", "2", "--model", "m"], "--model, --output, --orders and --job_options are for jobs to run"),
        (["1", "other_model"], "their job.json differ in model"),
        (["1", "other_input"], "their job.json differ in inputs"),
        (["1", "other_queries"], "have no query in common"),
        (["1", "no_order"], "no_order: its job.json has no candidate_order"),
        (["1", "nowhere"], "nowhere: not found"),
        (["1", "2", "--json", "nowhere/report.json"], "--json nowhere/report.json: there is no directory nowhere"),
        (["1", "2", "--json", "1"], "--json 1: is a directory; name a file"),
        (
            ["1", "2", "--json", "1/job.json"],
            "--json 1/job.json: is a file that is read here; give the name of another",
        ),
        (["--input", "i", "--model", "m"], "--input runs the jobs first: give --model and --output with it"),
        (["1", "--input", "i", "--model", "m", "--output", "o"], "--input runs the jobs first"),
        (
            ["--input", "i", "--model", "m", "--output", "o", "--job_options", "--dtype 'float32"],
            "--job_options --dtype 'float32: No closing quotation; fix the quotation marks",
        ),
        (
            ["--input", "i", "--model", "m", "--output", "o", "--job_options", "--top_k 3 --output=p"],
            "--job_options: --output=p is given by this command; leave it out",
        ),
        (["--input", "i", "--model", "m", "--output", "o", "--orders", "given"], "give two or more different ones"),
        (
            ["--input", "i", "--model", "m", "--output", "o", "--orders", "given", "best"],
            "--candidate_order best: give given, best_first, worst_first or random:SEED",
        ),
    ],
)
def test_mistakes_are_reported_in_one_line(
    tmp_path: Path,
    qrels: str,
    arguments: list[str],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "1", BEST, "best_first")
    write(tmp_path / "2", WORST, "worst_first")
    write(tmp_path / "other_model", WORST, "worst_first", model={"model": "n"})
    write(tmp_path / "other_input", WORST, "worst_first", inputs=[{"path": "j", "footer_hash": "h"}])
    write(tmp_path / "other_queries", {"q7": "ab"}, "worst_first")
    write(tmp_path / "no_order", BEST, None)
    assert main(["order", "--qrels", qrels, *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert problem in line


# Stands in for `python -m pipelines.rerank`: tells its arguments, and puts there an output that was made before.
JOB = """
import shutil, sys
print(*sys.argv[1:])
values = dict(zip(sys.argv, sys.argv[1:]))
order, _, code = values.get("--fail", "").partition(":")
if values["--candidate_order"] == order:
    sys.exit(int(code))
shutil.copytree(values["--candidate_order"], values["--output"])
"""


def test_runs_jobs(
    tmp_path: Path, qrels: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(order, "JOB", (sys.executable, "-c", JOB))
    write(tmp_path / "given", BEST, "given")
    write(tmp_path / "random:5", RANDOM, "random:5")
    for name in ("a", "b"):
        (tmp_path / name).touch()
    command = ["order", "--qrels", qrels, "--input", "a", "b", "--model", "m", "--output", "out/", "--orders", "given"]
    assert main([*command, "random:5", "--job_options", "--dtype 'float 32'"]) == 0
    printed = capfd.readouterr().out.splitlines()
    assert printed[0] == "--input a b --model m --output out/given --candidate_order given --dtype float 32"
    assert printed[1] == "--input a b --model m --output out/random_5 --candidate_order random:5 --dtype float 32"
    assert printed[3:5] == ["given      0.6667", "random:5   0.2103"]

    assert main([*command, "best_first", "--output", "out1", "--job_options=--fail given:2"]) == 2  # which runs first
    assert not (tmp_path / "out1" / "best_first").exists()
    capfd.readouterr()

    assert main([*command, "random:5", "--output", "out2", "--job_options=--fail given:1"]) == 1
    assert capfd.readouterr().err == (
        "error: --candidate_order given: the job ended with exit code 1; its own message says why\n"
    )
    assert main([*command, "random:5", "--output", "out3", "--job_options=--fail given:130"]) == 130
