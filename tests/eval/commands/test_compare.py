"""`python -m eval compare`, against figures worked out by hand."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.__main__ import main
from eval.ranking.comparison import labels, most_changed
from tests.support.eval_output import compared, finish, in_input_order, write_scored
from transforms.input.parquet import read_footer

# The place of each query's relevant document, of which RR is the inverse; 0 where the run lacks the query.
BASE = {"q1": 2, "q2": 2, "q3": 1}
BETTER = {"q1": 1, "q2": 1, "q3": 1}
QRELS = "q1 0 hit 1\nq2 0 hit 1\nq3 0 hit 1\n"


def write_run(path: Path, places: dict[str, int]) -> str:
    lines = []
    for query, place in places.items():
        documents = [*(f"d{number}" for number in range(1, place)), "hit"] if place else []
        lines += [f"{query} Q0 {document} 1 {-rank} t\n" for rank, document in enumerate(documents)]
    path.write_text("".join(lines))
    return str(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "qrels").write_text(QRELS)
    write_run(tmp_path / "base", BASE)
    write_run(tmp_path / "better", BETTER)
    return tmp_path


def test_two_wins_and_a_tie(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # The figures are those of tests/eval/ranking/test_significance.py: t = 2 with 2 degrees of freedom.
    report = compared(folder, str(folder / "base"), str(folder / "better"))
    assert [
        (run["run"], run["location"], run["stage"], run["queries_without_candidates"]) for run in report["runs"]
    ] == [
        ("base", str(folder / "base"), "run", 0),
        ("better", str(folder / "better"), "run", 0),
    ]
    assert [run["means"] for run in report["runs"]] == [
        {"RR@10": pytest.approx(2 / 3), "SetR": 1.0},
        {"RR@10": 1.0, "SetR": 1.0},
    ]
    assert report["comparisons"] == [
        {
            "measure": "RR@10",
            "run": "better",
            "mean": pytest.approx(1 / 3),
            "low": pytest.approx(-0.383776, abs=1e-6),
            "high": pytest.approx(1.050442, abs=1e-6),
            "p_permutation": 0.5,
            "p_t": pytest.approx(0.183503, abs=1e-6),
            "wins": 2,
            "ties": 1,
            "losses": 0,
            "changed": [
                {"query_id": "q1", "baseline": 0.5, "run": 1.0, "difference": 0.5},
                {"query_id": "q2", "baseline": 0.5, "run": 1.0, "difference": 0.5},
            ],
            "p_permutation_holm": 0.5,
            "p_t_holm": pytest.approx(0.183503, abs=1e-6),
        }
    ]
    assert report["tests"] == {
        "permutation": {"paired": True, "sides": 2, "resamples": 9999, "seed": 0},
        "t": {"paired": True, "sides": 2},
        "correction": {"method": "Holm", "comparisons": 1},
        "interval": {"of": "mean difference", "confidence": 0.95, "method": "Student's t", "corrected": False},
    }
    assert (report["baseline"], report["queries"]) == ("base", 3)
    assert report["qrels_sha256"] == "c34126f7374facc8796565a35bb7902b1fe5d3c838577aeabe4067bd8ef43591"
    assert set(report["versions"]) == {"ir_measures", "pytrec-eval-terrier", "scipy", "statsmodels"}
    assert capsys.readouterr().out == (
        """\
mean     RR@10  SetR (recall of the list)
base    0.6667                     1.0000
better  1.0000                     1.0000

RR@10 against base     mean        95% interval  permutation p    Holm  t test p    Holm  wins  ties  losses
better              +0.3333  -0.3838 to +1.0504         0.5000  0.5000    0.1835  0.1835     2     1       0

RR@10, changed most    base  better  difference
q1                   0.5000  1.0000     +0.5000
q2                   0.5000  1.0000     +0.5000

queries     3
p           paired and two-sided, and beside it as Holm corrects it; comparisons: 1. The permutation test
            takes all permutations, or 9,999 at random (seed 0) where they are more
interval    of the mean difference, by Student's t, not corrected
"""
    )


def test_a_query_that_a_run_lacks_counts_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(folder / "other", {"q1": 1, "q2": 0, "q3": 0})
    report = compared(folder, str(folder / "base"), str(folder / "other"))
    (row,) = report["comparisons"]
    assert (row["mean"], row["wins"], row["ties"], row["losses"]) == (pytest.approx(-1 / 3), 1, 0, 2)
    assert row["changed"] == [
        {"query_id": "q3", "baseline": 1.0, "run": 0.0, "difference": -1.0},
        {"query_id": "q1", "baseline": 0.5, "run": 1.0, "difference": 0.5},
        {"query_id": "q2", "baseline": 0.5, "run": 0.0, "difference": -0.5},
    ]
    assert "queries     3; other has no candidates for 2, which count 0\n" in capsys.readouterr().out


def test_queries_that_no_run_has_are_left_out_on_demand(folder: Path) -> None:
    (folder / "qrels").write_text(QRELS + "q4 0 hit 1\n")
    write_run(folder / "other", {"q1": 1, "q2": 0, "q3": 0})
    runs = [str(folder / "base"), str(folder / "other")]
    everything, answered = compared(folder, *runs), compared(folder, *runs, "--only_run_queries")
    assert (everything["queries"], answered["queries"]) == (4, 3)
    assert compared(folder, *runs[::-1], "--only_run_queries")["queries"] == 3  # those of the second run count too
    assert [each["comparisons"][0]["ties"] for each in (everything, answered)] == [1, 0]
    assert [each["comparisons"][0]["mean"] for each in (everything, answered)] == [-0.25, pytest.approx(-1 / 3)]


def test_identical_runs_do_not_differ(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(folder / "same", BASE)
    (row,) = compared(folder, str(folder / "base"), str(folder / "same"))["comparisons"]
    assert row == {
        "measure": "RR@10",
        "run": "same",
        "mean": 0.0,
        "low": None,
        "high": None,
        "p_permutation": 1.0,
        "p_permutation_holm": 1.0,
        "p_t": None,
        "p_t_holm": None,
        "wins": 0,
        "ties": 3,
        "losses": 0,
        "changed": [],
    }
    printed = capsys.readouterr().out
    assert (
        "same                +0.0000          none         1.0000  1.0000      none  none     0     3       0"
        in printed
    )
    assert "changed most" not in printed


def test_one_query_cannot_be_tested(folder: Path) -> None:
    (folder / "qrels").write_text("q1 0 hit 1\n")
    (row,) = compared(folder, str(folder / "base"), str(folder / "better"))["comparisons"]
    assert [row[name] for name in ("mean", "low", "p_permutation", "p_t", "wins")] == [0.5, None, 1.0, None, 1]


def test_all_comparisons_are_corrected_together(folder: Path) -> None:
    # Seven queries won, of eight: 2/2^7 = 1/64 for one way or the other. None won: 1. By two measures each: four tests.
    queries = [f"q{number}" for number in range(8)]
    (folder / "qrels").write_text("".join(f"{query} 0 hit 1\n" for query in queries))
    runs = [
        write_run(folder / "base", dict.fromkeys(queries, 2)),
        write_run(folder / "seven", {query: 1 if query != "q7" else 2 for query in queries}),
        write_run(folder / "same", dict.fromkeys(queries, 2)),
    ]
    path = folder / "both.json"
    arguments = ["--qrels", str(folder / "qrels"), "--measures", "RR@10", "P@1", "--json", str(path)]
    assert main(["compare", *runs, *arguments]) == 0
    rows = json.loads(path.read_text())["comparisons"]
    assert [(row["measure"], row["run"], row["p_permutation"], row["p_permutation_holm"]) for row in rows] == [
        ("RR@10", "seven", 1 / 64, 4 / 64),
        ("RR@10", "same", 1.0, 1.0),
        ("P@1", "seven", 1 / 64, 4 / 64),
        ("P@1", "same", 1.0, 1.0),
    ]


def test_the_recall_of_the_list_is_tested_if_nothing_else_is(folder: Path) -> None:
    (folder / "qrels").write_text(QRELS + "q1 0 d1 1\n")
    runs = [str(folder / "base"), str(folder / "better")]
    for measures, tested in ((["SetR"], ["SetR"]), (["SetR", "P@1"], ["P@1"])):
        arguments = ["--qrels", str(folder / "qrels"), "--measures", *measures, "--json", str(folder / "report.json")]
        assert main(["compare", *runs, *arguments]) == 0
        report = json.loads((folder / "report.json").read_text())
        assert [row["measure"] for row in report["comparisons"]] == tested
        assert [run["means"]["SetR"] for run in report["runs"]] == [1.0, pytest.approx(2.5 / 3)]


def test_of_jobs_the_reranked_order_is_compared(folder: Path) -> None:
    for name, scores in (("one", (1.0, 0.0)), ("two", (0.0, 1.0))):
        write_scored(folder / name, [("q1", "x", scores[0], 1), ("q1", "hit", scores[1], 2)])
        finish(folder / name)
    report = compared(folder, str(folder / "one"), f"{folder / 'two'}/")
    assert [(run["run"], run["stage"]) for run in report["runs"]] == [("one", "reranked"), ("two", "reranked")]
    assert report["comparisons"][0]["changed"] == [{"query_id": "q1", "baseline": 0.5, "run": 1.0, "difference": 0.5}]


def test_runs_are_compared_by_answers(folder: Path) -> None:
    texts = [{"doc_id": "hit", "text": "Paris"}, {"doc_id": "d1", "text": "no"}]
    queries = [{"query_id": query, "query": "?", "candidates": texts} for query in BASE]
    pq.write_table(pa.Table.from_pylist(queries), folder / "c.parquet")
    lines = [json.dumps({"query_id": query, "answers": ["paris"]}) + "\n" for query in BASE]
    (folder / "answers.jsonl").write_text("".join(lines))
    path = folder / "report.json"
    arguments = ["--answers", str(folder / "answers.jsonl"), "--candidates", str(folder / "c.parquet")]
    runs = [str(folder / "base"), str(folder / "better")]
    assert main(["compare", *runs, *arguments, "--measures", "Recall@1", "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    assert [run["means"] for run in report["runs"]] == [
        {"Recall@1": pytest.approx(1 / 3), "Recall": 1.0},
        {"Recall@1": 1.0, "Recall": 1.0},
    ]
    assert [(row["measure"], row["wins"], row["ties"]) for row in report["comparisons"]] == [("Recall@1", 2, 1)]


def test_jobs_are_compared_by_the_answers_in_the_candidates_of_each(folder: Path) -> None:
    # The second job read other files: what it ranks first, the files of the first job do not have.
    (folder / "answers.jsonl").write_text('{"query_id": "q1", "answers": ["paris"]}\n')
    for name, text in (("one", "no"), ("two", "Paris")):
        path = folder / f"{name}.parquet"
        candidates = [{"doc_id": f"in_{name}", "text": text}]
        pq.write_table(pa.Table.from_pylist([{"query_id": "q1", "query": "?", "candidates": candidates}]), path)
        write_scored(folder / name, [("q1", f"in_{name}", 1.0, 1)])
        finish(folder / name)
        inputs = [{"path": str(path), "footer_hash": read_footer(str(path)).hash}]
        (folder / name / "job.json").write_text(json.dumps({"inputs": inputs}))
    arguments = ["--answers", str(folder / "answers.jsonl"), "--json", str(folder / "report.json")]
    assert main(["compare", str(folder / "one"), str(folder / "two"), *arguments]) == 0
    report = json.loads((folder / "report.json").read_text())
    assert [run["means"]["Recall@10"] for run in report["runs"]] == [0.0, 1.0]
    assert main(["compare", str(folder / "one"), str(folder / "two"), *arguments, "--candidates", str(path)]) == 2


def test_the_same_command_says_the_same(folder: Path) -> None:
    generator = random.Random(0)
    queries = [f"q{number}" for number in range(40)]  # too many to try all permutations
    (folder / "qrels").write_text("".join(f"{query} 0 hit 1\n" for query in queries))
    runs = [write_run(folder / name, {query: generator.randint(1, 9) for query in queries}) for name in ("a", "b", "c")]
    assert compared(folder, *runs) == compared(folder, *runs)


def test_agrees_with_published_runs(fixtures: Path, tmp_path: Path) -> None:
    runs = fixtures / "data" / "runs"
    names = ["BM25_dl19_top100", "SPLADE_P_P_ENSEMBLE_DISTIL_dl19_top100", "D_BERT_KD_TASB_dl19_top100"]
    path = tmp_path / "report.json"
    arguments = ["--qrels", str(runs / "qrels.dl19-passage.txt"), "--json", str(path)]
    assert main(["compare", *(str(runs / f"{name}.txt.gz") for name in names), *arguments]) == 0
    rows = json.loads(path.read_text())["comparisons"]
    assert [(row["measure"], round(row["mean"], 4)) for row in rows] == [("nDCG@10", 0.2250), ("nDCG@10", 0.2152)]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_values_of_each_query(folder: Path, suffix: str) -> None:
    path = folder / f"values{suffix}"
    compared(folder, str(folder / "base"), str(folder / "better"), "--per_query", str(path))
    if suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
    else:
        with path.open(newline="") as file:
            rows = [row | {run: float(row[run]) for run in ("base", "better")} for row in csv.DictReader(file)]
    assert rows == [
        {"query_id": "q1", "measure": "RR@10", "base": 0.5, "better": 1.0},
        {"query_id": "q2", "measure": "RR@10", "base": 0.5, "better": 1.0},
        {"query_id": "q3", "measure": "RR@10", "base": 1.0, "better": 1.0},
    ]


def test_the_most_changed_come_by_size_then_id_and_are_few() -> None:
    before = dict.fromkeys("abcdefgh", 0.5)
    after = {"a": 0.5, "b": 0.25, "c": 0.75, "d": 0.0, "e": 0.625, "f": 1.0, "g": 0.375, "h": 0.4375}
    assert [row["query_id"] for row in most_changed(before, after, sorted(before), 5)] == ["d", "f", "b", "c", "e"]


@pytest.mark.parametrize(
    ("locations", "expected"),
    [
        (["out/a", "out/b/"], ["a", "b"]),
        (["/x/one/run", "/x/two/run"], ["one/run", "two/run"]),
        (["gs://bucket/v2", "runs/bm25.gz"], ["gs://bucket/v2", "runs/bm25.gz"]),
        (["out", "out/b"], ["out", "out/b"]),
        (["a", "b"], ["a", "b"]),
        (["out/a", "out/a/"], ["a", "a"]),
    ],
)
def test_labels(locations: list[str], expected: list[str]) -> None:
    assert labels(locations) == expected


MISTAKES: dict[str, tuple[list[str], str]] = {
    "one run": (["base"], "base: give a baseline and others to compare with it, each once"),
    "a run twice": (["base", "better", "base"], "base better base: give a baseline and others"),
    "a run by two names": (["base", "./base"], "base ./base: give a baseline and others"),
    "a missing run": (["base", "absent"], "absent: not found; give a job's output directory or a TREC run"),
    "no qrels": ([], "the following arguments are required: OUT_OR_RUN"),
    "another collection": (["base", "foreign"], "foreign and qrels have no query in common: it has ids like 'x'"),
    "a run with a column's name": (
        ["base", "measure", "--per_query", "v.csv"],
        "--per_query has a column measure beside those of the runs; rename the run",
    ),
    "texts of runs alone": (["base", "better", "--texts"], "--texts: base, better: are runs, whose documents have no"),
    "one file for two": (
        ["base", "better", "--json", "a", "--html", "./a"],
        "--json and --html a: give each a name of its own",
    ),
    "a bad table name": (["base", "better", "--per_query", "v.txt"], "--per_query v.txt: the name must end in"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_and_exit_code_2(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    write_run(folder / "foreign", {"x": 1})
    assert main(["compare", *arguments, "--qrels", "qrels"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {message}")
    assert printed.count("\n") == 1


def test_jobs_without_ranks_and_scores_are_compared_and_their_order_is_called_that_of_the_input(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [str(folder / name) for name in ("first", "second")]
    for job, score in zip(jobs, (0.0, 2.0), strict=True):
        write_scored(Path(job), [("q1", "d1", 1.0, 1), ("q1", "hit", score, 2)])
        in_input_order(Path(job))
        finish(Path(job))
    report = compared(folder, *jobs)
    assert [(run["stage"], run["means"]["RR@10"]) for run in report["runs"]] == [
        ("reranked", pytest.approx(1 / 6)),
        ("reranked", pytest.approx(1 / 3)),
    ]
    printed = " ".join(capsys.readouterr().out.split())
    assert "beside the reranked order stands the order of the input" in printed
    assert "first stage" not in printed + json.dumps(report)
