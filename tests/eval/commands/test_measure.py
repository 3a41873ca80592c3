"""`python -m eval measure` from end to end, against figures published or worked out by hand."""

from __future__ import annotations

import csv
import gzip
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.__main__ import main
from tests.support.eval_output import finish, write_rejected, write_scored
from transforms.output.commit import commit
from transforms.schema import REJECTED, Shard
from transforms.scoring.results import Scores

REPOSITORY = Path(__file__).parents[3]
DATA = REPOSITORY / "tests" / "data"

Report = Callable[..., dict[str, Any]]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """`report(input, qrels, *options)` runs the command and gives back what it wrote as JSON."""

    def measured(source: Path, qrels: Path, *options: str) -> dict[str, Any]:
        path = tmp_path / "report.json"
        assert main(["measure", str(source), "--qrels", str(qrels), "--json", str(path), *options]) == 0
        return dict(json.loads(path.read_text(encoding="utf-8")))

    return measured


def means(report: dict[str, Any], column: str = "run") -> dict[str, float]:
    """Means of one column, to four places."""
    return {row["measure"]: round(row[column], 4) for row in report["measures"]}


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_agrees_with_trec_eval(report: Report) -> None:
    # tests/data/trec_eval/out.test.a, trec_eval's own expected output for this run and these judgements.
    expected = {
        "nDCG@10": 0.3016,
        "nDCG@100": 0.3916,
        "nDCG": 0.4021,
        "AP": 0.1785,
        "AP@100": 0.1622,
        "P@10": 0.3,
        "P@100": 0.2467,
        "RR": 0.4064,
        "Rprec": 0.2174,
        "Bpref": 0.1981,
        "infAP": 0.1785,
        "R@10": 0.0317,
        "R@100": 0.498,
        "NumRet(rel=1)": 131,
        "NumQ": 3,
        "SetR": 0.5997,
    }
    folder = DATA / "trec_eval"
    got = report(folder / "results.test", folder / "qrels.test", "--measures", *expected)
    assert means(got) == expected
    assert got["counts"] | {"candidates": 1500, "tied_candidates": 10, "queries_with_ties": 3} == got["counts"]


@pytest.mark.parametrize(
    ("run", "qrels", "expected"),
    [
        ("BM25_dl19_top100", "dl19", 0.5058),
        ("BM25_dl20_top100", "dl20", 0.4796),
        ("SPLADE_P_P_ENSEMBLE_DISTIL_dl19_top100", "dl19", 0.7308),
        ("D_BERT_KD_TASB_dl19_top100", "dl19", 0.7210),
    ],
)
def test_agrees_with_published_runs(fixtures: Path, report: Report, run: str, qrels: str, expected: float) -> None:
    folder = fixtures / "data" / "runs"
    got = report(folder / f"{run}.txt.gz", folder / f"qrels.{qrels}-passage.txt")
    assert means(got)["nDCG@10"] == expected


def scored_from_candidates(directory: Path, candidates: Path, score: Callable[[dict[str, Any]], float]) -> Path:
    """A job's output over real candidate lists, scored by a function of the candidate."""
    lists = pq.read_table(candidates, columns=["query_id", "candidates"]).to_pylist()
    rows = [
        (row["query_id"], document["doc_id"], score(document), document["rank"])
        for row in lists
        for document in row["candidates"]
    ]
    write_scored(directory, rows)
    finish(directory)
    return directory


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ci_dbpedia_graded_40x50", 0.7350),
        ("ci_scifact_40x30", 0.7246),
        ("ci_cosqa_40x30", 0.2725),
        ("bench_scifact", 0.6789),
        ("ci_xquadr_sent_11langs_derivedgrades_5x30", 0.6697),
    ],
)
def test_agrees_with_known_first_stages(
    fixtures: Path, tmp_path: Path, report: Report, name: str, expected: float
) -> None:
    candidates = fixtures / "data" / "candidates" / f"{name}.parquet"
    out = scored_from_candidates(tmp_path / "out", candidates, lambda document: document["rank"])
    got = report(out, fixtures / "data" / "qrels" / f"{name}.qrels")
    assert means(got, "first_stage")["nDCG@10"] == expected
    assert means(got, "reranked")["nDCG@10"] < expected  # worst first
    assert means(got, "difference")["SetR"] == 0


def test_a_constant_scorer_gains_nothing_from_ties(tmp_path: Path, report: Report) -> None:
    # The reranked values are pytrec_eval's for a run of equal scores, asked without ir-measures.
    demo = REPOSITORY / "demo" / "dbpedia_entity_40x50"
    out = scored_from_candidates(tmp_path / "out", demo.with_suffix(".parquet"), lambda document: 0.5)
    got = report(out, demo.with_suffix(".qrels"), "--measures", "nDCG@10", "RR", "R@10")
    assert means(got, "first_stage") == {"nDCG@10": 0.735, "RR": 0.9625, "R@10": 0.537, "SetR": 0.7897}
    assert means(got, "reranked") == {"nDCG@10": 0.2492, "RR": 0.3754, "R@10": 0.2034, "SetR": 0.7897}
    assert (got["counts"]["candidates"], got["counts"]["tied_candidates"], got["counts"]["queries_with_ties"]) == (
        1869,
        1829,
        40,
    )


def test_ties_break_alike_for_every_measure(tmp_path: Path, report: Report) -> None:
    # trec_eval takes z, b, a; the RR@k of ir-measures by itself a, b, z. The scores of y and x differ beyond 32 bits.
    run = "q1 Q0 a 1 1.0 t\nq1 Q0 b 2 1.0 t\nq1 Q0 z 3 1.0 t\nq2 Q0 x 1 1.0000000001 t\nq2 Q0 y 2 1 t\n"
    qrels = write(tmp_path / "qrels", "q1 0 a 1\nq2 0 x 1\n")
    got = report(write(tmp_path / "run", run), qrels, "--measures", "nDCG@10", "RR@10", "RR", "P@1")
    assert means(got) == {"nDCG@10": 0.75, "RR@10": 0.6667, "RR": 0.6667, "P@1": 0.5, "SetR": 1.0}
    assert (got["counts"]["tied_candidates"], got["counts"]["queries_with_ties"]) == (2, 1)


def test_ranks_of_the_job_are_the_places_that_are_measured(tmp_path: Path, report: Report) -> None:
    generator = random.Random(0)
    documents = [f"{generator.choice('aé漢😀')}{number}" for number in range(60)]
    scores = np.array([generator.choice([0.0, -0.0, 0.1, 1e-9, -3.5]) for _ in documents], np.float32)
    pairs = {
        "doc_id": documents,
        "text": documents,
        "first_stage_rank": pa.array(range(1, 61), pa.int32()),
        "first_stage_score": pa.nulls(60, pa.float64()),
        "given_position": pa.array(range(60), pa.int32()),
        "source_file": pa.array(["in"] * 60),
        "source_row": pa.array([0] * 60, pa.int64()),
    }
    queries = pa.table({"query_id": ["q"], "query": ["text"], "n_pairs": pa.array([60], pa.int32())})
    name = "part-00000-00000-00000"
    shard = Shard(name, True, queries, pa.table(pairs), REJECTED.empty_table())
    commit(str(tmp_path / "out"), shard, Scores(scores))
    ranks = pq.read_table(tmp_path / "out" / "scored" / f"{name}.parquet").select(["doc_id", "rank"]).to_pylist()
    assert len(ranks) == 60
    for row in ranks[::7]:
        qrels = write(tmp_path / "qrels", f"q 0 {row['doc_id']} 1\n")
        got = report(tmp_path / "out", qrels, "--measures", "RR", "RR@60")
        assert [entry["reranked"] for entry in got["measures"]] == pytest.approx(
            [1 / row["rank"]] * 2 + [1.0], rel=1e-12
        )


def test_means_are_over_all_queries_of_the_qrels_by_default(tmp_path: Path, report: Report) -> None:
    # q1 finds its document second: nDCG 1/log2(3) = .6309, RR .5; q2 first; q3 has no candidates; q4 no judgements.
    run = write(tmp_path / "run", "q1 Q0 x 1 3 t\nq1 Q0 a 2 2 t\nq2 Q0 b 1 1 t\nq4 Q0 x 1 1 t\n")
    qrels = write(tmp_path / "qrels", "q1 0 a 1\nq2 0 b 1\nq3 0 c 1\n")
    everything = report(run, qrels)
    assert means(everything) == {"nDCG@10": 0.5436, "RR@10": 0.5, "R@10": 0.6667, "SetR": 0.6667}
    assert everything["counts"] == {
        "queries_in_qrels": 3,
        "queries_with_candidates": 2,
        "queries_without_candidates": 1,
        "queries_without_relevant_documents": 0,
        "queries_not_in_qrels": 1,
        "candidates": 3,
        "judged_candidates": 2,
        "tied_candidates": 0,
        "queries_with_ties": 0,
        "identical_ids": 0,
        "repeated_judgements": 0,
    }
    assert everything["notes"] == ["queries with candidates that are not in the qrels: 1; left out"]
    answered = report(run, qrels, "--only_run_queries")
    assert means(answered) == {"nDCG@10": 0.8155, "RR@10": 0.75, "R@10": 1.0, "SetR": 1.0}
    assert answered["counts"] == everything["counts"]
    assert (everything["only_run_queries"], answered["only_run_queries"]) == (False, True)


def test_rejected_candidates_cost_the_reranked_lists_and_not_the_first_stage(tmp_path: Path, report: Report) -> None:
    write_scored(tmp_path / "out", [("q1", "a", 1.0, 2), ("q1", "x", 0.5, 1)])
    write_rejected(tmp_path / "out", [{"query_id": "q1", "doc_id": "b"}, {"query_id": "q2", "doc_id": "c"}])
    finish(tmp_path / "out")
    got = report(tmp_path / "out", write(tmp_path / "qrels", "q1 0 a 1\nq1 0 b 1\nq2 0 c 1\n"), "--measures", "RR@10")
    assert means(got, "first_stage") == {"RR@10": 0.75, "SetR": 1.0}
    assert means(got, "reranked") == {"RR@10": 0.5, "SetR": 0.25}
    assert means(got, "difference") == {"RR@10": -0.25, "SetR": -0.75}
    assert got["counts"]["queries_with_candidates"] == 2


def test_identical_ids_are_counted_and_left_out_on_demand(tmp_path: Path, report: Report) -> None:
    write_scored(tmp_path / "out", [("q", "q", 9.0, 1), ("q", "a", 1.0, 2)])
    finish(tmp_path / "out")
    qrels = write(tmp_path / "qrels", "q 0 a 1\n")
    whole, left_out = report(tmp_path / "out", qrels), report(tmp_path / "out", qrels, "--exclude_identical_ids")
    assert [means(whole, stage)["RR@10"] for stage in ("first_stage", "reranked")] == [0.5, 0.5]
    assert [means(left_out, stage)["RR@10"] for stage in ("first_stage", "reranked")] == [1.0, 1.0]
    note = "candidates with the id of their query: 1; BEIR leaves them out (--exclude_identical_ids)"
    assert (whole["notes"], left_out["notes"]) == ([note], [])


def test_oddities_of_the_qrels_are_reported(tmp_path: Path, report: Report) -> None:
    qrels = write(tmp_path / "qrels", "q1 0 a 2\nq1 0 a 2\nq1 0 b 0\nq2 0 a 0\nq2 0 b -1\n")
    got = report(write(tmp_path / "run", "q1 Q0 x 1 1 t\n"), qrels)
    assert got["notes"] == [
        "queries of the qrels without a relevant document: 1; they count 0 whatever their ranking",
        "lines of the qrels that repeat an earlier one: 1; each counts once",
        "no candidate has a judgement: are these the qrels of this collection?",
        "judgements by grade: 1 of -1, 2 of 0, 1 of 2; nDCG weighs grades, other measures count documents as relevant "
        "from 1, or from 2 if written so: R(rel=2)@100",
    ]


def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_scored(tmp_path / "out", [("q1", "a", 0.5, 1), ("q1", "b", 0.5, 2), ("q9", "a", 1.0, 1)])
    finish(tmp_path / "out")
    qrels = write(tmp_path / "qrels", "query-id\tcorpus-id\tscore\nq1\tb\t1\nq2\tb\t1\n")
    assert main(["measure", str(tmp_path / "out"), "--qrels", str(qrels), "--measures", "RR@10", "nDCG@10"]) == 0
    assert capsys.readouterr() == (
        """\
measure                    first stage  reranked  difference
RR@10                           0.2500    0.5000     +0.2500
nDCG@10                         0.3155    0.5000     +0.1845
SetR (recall of the list)       0.5000    0.5000     +0.0000

queries     2 in the qrels, 1 with candidates, 1 without (each counts 0)
candidates  2, of which 1 have a judgement
ties        candidates with the score of one ranked above them: 1 (in queries: 1); the higher document id
            comes first, as in trec_eval
note        queries with candidates that are not in the qrels: 1; left out
""",
        "",
    )


def test_the_report_names_where_its_figures_are_from(tmp_path: Path, report: Report) -> None:
    write_scored(tmp_path / "out", [("q", "a", 0.5, 1)])
    finish(tmp_path / "out", top_k=None, max_length=512)
    qrels = write(tmp_path / "qrels", "q 0 a 1\n")
    got = report(tmp_path / "out", qrels)
    assert (got["input"], got["qrels"]) == (str(tmp_path / "out"), str(qrels))
    assert got["qrels_sha256"] == "6b0851d7cc24332b9cfe1071791d4e707855c5a592f2cd7778031949d786f975"
    assert got["job"] == {"options": {"top_k": None, "max_length": 512}}
    assert set(got["versions"]) == {"ir_measures", "pytrec-eval-terrier"}


QUERY_ROWS = [
    {"query_id": "q 1", "measure": "nDCG@10", "first_stage": 0.6309297535714575, "reranked": 1.0},
    {"query_id": "q 1", "measure": "SetR", "first_stage": 1.0, "reranked": 1.0},
    {"query_id": "q,2", "measure": "nDCG@10", "first_stage": 0.0, "reranked": 0.0},
    {"query_id": "q,2", "measure": "SetR", "first_stage": 0.0, "reranked": 0.0},
]


@pytest.mark.parametrize("suffix", [".parquet", ".tsv", ".csv"])
def test_values_of_each_query(tmp_path: Path, suffix: str) -> None:
    write_scored(tmp_path / "out", [("q,2", "x", 1.0, 1), ("q 1", "a", 1.0, 2), ("q 1", "b", 0.5, 1)])
    finish(tmp_path / "out")
    qrels = write(tmp_path / "qrels", "q 1\ta\t1\nq,2\tb\t1\n")
    path = tmp_path / f"values{suffix}"
    command = [
        "measure",
        str(tmp_path / "out"),
        "--qrels",
        str(qrels),
        "--measures",
        "nDCG@10",
        "--per_query",
        str(path),
    ]
    assert main(command) == 0
    if suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
    else:
        with path.open(newline="") as file:
            read = csv.DictReader(file, delimiter={".tsv": "\t", ".csv": ","}[suffix])
            rows = [row | {stage: float(row[stage]) for stage in ("first_stage", "reranked")} for row in read]
    assert rows == QUERY_ROWS


def test_the_module_runs_as_a_command(tmp_path: Path) -> None:
    run = tmp_path / "run.gz"
    run.write_bytes(gzip.compress(b"q Q0 a 1 1 t\n"))
    command = [sys.executable, "-m", "eval", "measure", str(run), "--qrels"]
    qrels = write(tmp_path / "qrels", "q 0 a 1\n")
    done = subprocess.run([*command, str(qrels)], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nDCG@10                    1.0000\n" in done.stdout
    failed = subprocess.run([*command, "absent"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (2, "", 1)
