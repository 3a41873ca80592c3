"""The benchmark as a whole, with models of a few kilobytes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from eval.table.cells import read_cells
from eval.table.values import read_values
from pipelines.benchmark import job as benchmark
from pipelines.benchmark.__main__ import main
from pipelines.benchmark.candidates import candidates_directory, candidates_request
from pipelines.benchmark.data_sets import BenchmarkDataSet
from pipelines.benchmark.entrants import CODE_MODEL
from pipelines.benchmark.options import build_parser
from pipelines.benchmark.request import BenchmarkRequest
from tests.support import copies, tiny, tiny_encoder
from tests.support.benchmark_cells import RUNNER, cells_of, complain
from tests.support.job_run import rerank as make_job
from tests.support.job_run import write_letters
from transforms.base import hub
from transforms.base.errors import UnavailableError
from transforms.base.request import request_of
from transforms.scoring.places import EMBEDDED


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, and two data sets: 3 queries with 4 candidates each, and a query without."""
    folder = tmp_path_factory.mktemp("material")
    tiny.bert(folder / "classifier")
    tiny_encoder.bert(folder / "encoder")
    for number, name in enumerate(("a", "b")):
        first = 10 * number
        write_letters(folder / f"{name}.parquet", 3, 4, first)
        lines = [f"q{query} 0 d{query % 4} 1\n" for query in range(first, first + 4)]
        (folder / f"{name}.qrels").write_text("".join(lines))
    return folder


def arguments(material: Path, output: Path, *more: str) -> list[str]:
    models = [f"classifier={material}/classifier", f"encoder={material}/encoder"]
    sets = [f"a={material}/a.parquet,{material}/a.qrels", f"b/<i>={material}/b.parquet,{material}/b.qrels"]
    command = ["--models", *models, "--datasets", *sets, "--output", str(output), "--dtype", "float32", RUNNER]
    return [*command, *more]


@pytest.fixture(scope="module")
def done(material: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The results of a benchmark with one model too many, and its exit code."""
    output = tmp_path_factory.mktemp("done") / "results"
    return output, main(
        arguments(material, output, "--models", f"missing={material}/nowhere", "--price_per_hour", "3.6")
    )


def test_a_failing_model_loses_no_other_cell(done: tuple[Path, int], material: Path) -> None:
    output, code = done
    cells, failures = read_cells(str(output))
    assert code == 1
    assert sorted((cell.model, cell.dataset) for cell in cells) == [
        ("classifier", "a"),
        ("classifier", "b/<i>"),
        ("encoder", "a"),
        ("encoder", "b/<i>"),
    ]
    assert [failure[:2] for failure in failures] == [("missing", "a"), ("missing", "b/<i>")]
    assert failures[0].failed.startswith(f"model {material}/nowhere: no such directory; give a directory")


def test_a_cell_tells_all_that_its_figures_rest_on(done: tuple[Path, int]) -> None:
    cell = cells_of(done[0])["encoder", "b/<i>"]
    # q10 to q12 have their relevant documents d2, d3 and d0 at ranks 3, 4 and 1; q13 has no candidates:
    # (1/log2(4) + 1/log2(5) + 1 + 0) / 4.
    # The candidates have neither ranks nor scores.
    assert (cell.first_stage, "difference" in cell.measures[0]) == (None, False)
    assert cell.measures[0]["input_order"] == pytest.approx(0.482669, abs=1e-6)
    assert cell.list_recall == 0.75
    assert cell.queries == {"in_qrels": 4, "with_candidates": 3, "without_candidates": 1}
    assert (cell.measure, cell.pairs, cell.depth) == ("nDCG@10", 12, 4)
    assert (cell.execution["device"], cell.execution["dtype"]) == ("cpu", "float32")
    assert cell.reranker["family"] == "embedding"
    assert set(cell.versions) >= {"python", "torch", "ir_measures"}
    assert cell.run["cost"] == pytest.approx(12 / cell.run["pairs_per_second"] / 1000)
    assert cell.rejected == {"pairs": 0, "by_reason": {}}
    assert cell.trained_on is None
    values = read_values(str(done[0]), [cell])["encoder", "b/<i>"]
    assert list(values) == [row["measure"] for row in cell.measures]
    assert sum(values["nDCG@10"].values()) / 4 == pytest.approx(cell.value)
    assert sorted(values["nDCG@10"]) == ["q10", "q11", "q12"]
    # 30 + 32 + 2 embeddings of 8 and their norm; 2 layers of 600 (4 x 72, 144 + 136, 2 norms of 16); a pooler of 72.
    assert cell.parameters == pytest.approx((64 * 8 + 16 + 2 * 600 + 72) / 1e9)


def test_names_never_become_paths(done: tuple[Path, int]) -> None:
    names = {path.name for path in (done[0] / "cells").iterdir()}
    assert names == {"a", "b_i-071be33e"}
    assert {path.name for path in done[0].iterdir()} == {"cells", "jobs"}


def test_done_cells_are_not_done_again(
    done: tuple[Path, int], material: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "results"
    shutil.copytree(done[0], output)
    shutil.rmtree(output / "jobs")
    before = cells_of(output)
    assert main(arguments(material, output)) == 0
    assert cells_of(output) == before
    assert not (output / "jobs").exists()
    assert capsys.readouterr().out.count(", done before") == 4


def test_a_cell_whose_judgements_or_options_changed_is_done_again(
    done: tuple[Path, int], material: Path, tmp_path: Path
) -> None:
    output, changed = tmp_path / "results", tmp_path / "changed"
    shutil.copytree(done[0], output)
    shutil.copytree(material, changed)
    shutil.rmtree(output / "jobs")
    (changed / "b.qrels").write_text("q10 0 d0 1\n")
    before = cells_of(output)
    assert main(arguments(changed, output, "--max_query_length", "4")) == 0
    after = cells_of(output)
    assert not any(cell.outdated for cell in after.values())
    # The encoder has no --max_query_length, so on the data set that is as it was its cell stands.
    assert {key for key, cell in after.items() if cell == before[key]} == {("encoder", "a")}
    assert after["encoder", "b/<i>"].measures[0]["input_order"] == 1.0
    assert after["classifier", "a"].reranker["settings"]["max_query_length"] == 4


def test_other_judgements_are_measured_by_without_reranking(
    done: tuple[Path, int], material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, changed = tmp_path / "results", tmp_path / "changed"
    shutil.copytree(done[0], output)
    shutil.copytree(material, changed)
    (changed / "b.qrels").write_text("q10 0 d0 1\n")
    monkeypatch.setattr(benchmark, "run_apart", complain)
    assert main(arguments(changed, output)) == 0
    before, after = cells_of(done[0]), cells_of(output)
    assert {key for key, cell in after.items() if cell == before[key]} == {("classifier", "a"), ("encoder", "a")}
    assert after["encoder", "b/<i>"].queries["in_qrels"] == 1
    assert after["encoder", "b/<i>"].run == {**before["encoder", "b/<i>"].run, "price_per_hour": None, "cost": None}


def test_a_price_that_is_given_later_reaches_done_cells(
    done: tuple[Path, int], material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "results"
    shutil.copytree(done[0], output)
    monkeypatch.setattr(benchmark, "run_apart", complain)
    assert main(arguments(material, output, "--price_per_hour", "7.2")) == 0
    for key, cell in cells_of(output).items():
        before = cells_of(done[0])[key].run
        assert cell.run == {**before, "price_per_hour": 7.2, "cost": pytest.approx(2 * before["cost"])}


def test_a_failure_marks_an_older_cell_of_other_options(
    done: tuple[Path, int], material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "results"
    shutil.copytree(done[0], output)
    before = cells_of(output)["classifier", "a"]
    one = ["--datasets", f"a={material}/a.parquet,{material}/a.qrels", "--output", str(output), RUNNER]
    assert main(["--models", f"classifier={material}/nowhere", *one]) == 1
    after = cells_of(output)["classifier", "a"]
    assert str(after.outdated).startswith(f"model {material}/nowhere: no such directory")
    assert replace(after, outdated=None) == before
    # Here it dies before the job is done.
    monkeypatch.setattr(benchmark, "run_apart", interrupt)
    with pytest.raises(SystemExit):
        main(["--models", f"classifier={material}/classifier", "--max_query_length", "4", "--dtype", "float32", *one])
    assert cells_of(output)["classifier", "a"].outdated == "begun anew with other options or data, and not finished"
    assert main(["--models", f"classifier={material}/classifier", "--dtype", "float32", *one]) == 0
    assert cells_of(output)["classifier", "a"] == before


def interrupt(*_: object) -> int:
    raise SystemExit(9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--models", "classifier"], "--models: classifier appears twice; leave one out, or name it otherwise"),
        (["--datasets", "x=no.parquet,no.qrels"], "data set x: no judgements no.qrels; check the path"),
        (["--datasets", "x={m}/a.parquet,{m}/a.parquet"], "{m}/a.parquet: line 1: expected 4 fields"),
        (["--datasets", "x={m}/a.parquet,{m}/b.qrels"], "data set x: {m}/b.qrels has no query in common"),
        (
            ["--datasets", "beir/nfcorpus={m}", "--retriever", "run:no.trec"],
            "--retriever run:no.trec: no file no.trec; give a TREC run",
        ),
        (["--group_size", "9"], "--group_size: applies to none of the models; leave it out"),
        (["--device", "cuda:99"], "--device cuda:99: there are "),
        (["--models", "x=nowhere", "--plan"], "model nowhere: no such directory; give a directory, a hub id"),
        (["--datasets", "coir/codesearchnet-ccr=nowhere"], "--datasets coir/codesearchnet-ccr=nowhere: there is no"),
        (["--frobnicate"], "--frobnicate: neither this command nor Beam has such an option"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(
    material: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: list[str], message: str
) -> None:
    changes = [word.format(m=material) for word in changes]
    assert main(arguments(material, tmp_path / "results", *changes)) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {message.format(m=material)}")
    assert not list(tmp_path.glob("results/*/*"))


def test_what_does_not_answer_is_no_mistake(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unavailable(*_: object) -> NoReturn:
        raise UnavailableError("the hub answered 500; the same command later continues")

    monkeypatch.setattr("pipelines.benchmark.inputs.ready", unavailable)
    assert main(arguments(material, tmp_path / "results")) == 1
    assert capsys.readouterr().err == "error: the hub answered 500; the same command later continues\n"


def test_candidates_of_a_known_set_follow_its_own_rules_and_a_directory_its_model(tmp_path: Path) -> None:
    words = ["--models", "m", "--datasets", "x", "--output", "o", "--device", "cpu"]
    dense = f"dense:{CODE_MODEL}={tmp_path}"
    coir = BenchmarkDataSet("coir/apps", "coir/apps", copies="copies")
    request = candidates_request(coir, request_for(*words, "--retriever", dense), "o")
    assert (request.retriever, request.model_like, request.task) == (("dense", str(tmp_path)), CODE_MODEL, "nl2code")
    assert (request.data_dir, request.exclude_identical_ids, request.dataset) == ("copies", False, "coir/apps")
    assert request.output == candidates_directory(coir, request_for(*words, "--retriever", f"dense:{CODE_MODEL}"), "o")
    bm25 = request_for(*words, "--retriever", "bm25")
    yoruba = candidates_request(BenchmarkDataSet("miracl/yo", "dir"), bm25, "o")
    assert (yoruba.exclude_identical_ids, yoruba.language) == (False, "yo")
    assert candidates_request(BenchmarkDataSet("beir/nq", "dir"), bm25, "o").exclude_identical_ids is True
    assert candidates_request(BenchmarkDataSet("own", "dir"), bm25, "o").exclude_identical_ids is None


def request_for(*words: str) -> BenchmarkRequest:
    return request_of(BenchmarkRequest, build_parser().parse_args(words))


def test_answers_and_copies_in_the_hub_s_layout(material: Path, tmp_path: Path) -> None:
    copied = copies.local(tmp_path)
    words = ["--models", f"m={material}/classifier", "--datasets", f"mkqa/de={copied}", f"miracl/yo={copied}"]
    assert main([*words, "--output", str(tmp_path / "results"), "--retriever", "bm25", RUNNER]) == 0
    cells = cells_of(tmp_path / "results")
    assert cells["m", "mkqa/de"].measure == "Recall@10"
    assert cells["m", "mkqa/de"].queries["in_qrels"] == 2
    assert cells["m", "miracl/yo"].candidates["provenance"]["dataset"] == "miracl/yo"


def test_a_plan_runs_nothing(material: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(material, tmp_path / "results", "--plan", "--throughput", "2")) == 0
    assert "to do: 4 of 4 cells, 48 pairs, 24 s" in capsys.readouterr().out.splitlines()
    assert not (tmp_path / "results").exists()


def test_a_jobs_directory_is_not_taken_for_results(
    material: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_job(material / "a.parquet", tmp_path / "out", material / "classifier") == 0
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    assert main(arguments(material, tmp_path / "out")) == 2
    assert capsys.readouterr().err == f"error: output {tmp_path}/out is a reranking job's; give another --output\n"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_plan_does_what_changed_again(
    done: tuple[Path, int], material: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(material, done[0], "--plan")) == 0
    assert "to do: 0 of 4 cells, 0 pairs" in capsys.readouterr().out.splitlines()
    # The encoder has no --max_query_length.
    assert main(arguments(material, done[0], "--plan", "--max_query_length", "4")) == 0
    states = [line.split()[:4] for line in capsys.readouterr().out.splitlines()[1:5]]
    assert states == [
        ["classifier", "a", "to", "do"],
        ["encoder", "a", "done", "12"],
        ["classifier", "b/<i>", "to", "do"],
        ["encoder", "b/<i>", "done", "12"],
    ]


def test_a_plan_fetches_nothing(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[bool] = []

    def refuse(name: str, *, local_files_only: bool, **_: object) -> NoReturn:
        seen.append(local_files_only)
        raise LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr(hub, "snapshot_download", refuse)
    words = arguments(material, tmp_path / "results", "--models", "nobody/model", "--max_length", "16", "--plan")
    assert main(words) == 0
    assert "to do: 6 of 6 cells, 72 pairs" in capsys.readouterr().out.splitlines()
    assert set(seen) == {True}


def test_a_plan_counts_a_model_of_which_a_part_is_in_the_cache_as_still_to_be_fetched(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "part").mkdir()
    monkeypatch.setattr(hub, "snapshot_download", lambda *_, **__: str(tmp_path / "part"))
    assert main(arguments(material, tmp_path / "results", "--models", "nobody/model", "--plan")) == 0
    assert "to do: 6 of 6 cells, 72 pairs" in capsys.readouterr().out.splitlines()


def test_no_candidates_are_made_for_models_that_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set").mkdir()
    words = ["--models", "m=nowhere", "--datasets", f"beir/nfcorpus={tmp_path}/set", "--output", f"{tmp_path}/results"]
    assert main([*words, "--retriever", "bm25", RUNNER]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].startswith("m is unavailable: model nowhere: no such directory")
    assert [failure.failed[:37] for failure in read_cells(f"{tmp_path}/results")[1]] == [
        "model nowhere: no such directory; giv"
    ]
    assert not (tmp_path / "results" / "candidates").exists()


def test_weights_of_the_embedded_model_are_known_wherever_they_lie(material: Path, tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED["small-cross-encoder"], tmp_path / "copy")
    sets = f"SciFact={material}/a.parquet,{material}/a.qrels"
    words = ["--models", f"ours={tmp_path}/copy", "--datasets", sets, "--output", str(tmp_path / "results"), RUNNER]
    assert main(words) == 0
    [request] = cells_of(tmp_path / "results").values()
    assert request.trained_on == "trained on data of this set, says the model's README"


def test_candidates_are_made_where_there_are_none(
    material: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "nfcorpus"
    (folder / "qrels").mkdir(parents=True)
    texts = ["apple tree", "banana boat", "cherry pie", "apple pie"]
    rows = [{"_id": f"d{number}", "title": "", "text": text} for number, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    # A query with the id of a document, which it must not find.
    queries = [{"_id": "d3", "text": "apple pie"}, {"_id": "q1", "text": "banana"}]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    judged = "query-id\tcorpus-id\tscore\nd3\td0\t1\nq1\td1\t1\n"
    (folder / "qrels" / "test.tsv").write_text(judged)
    output = tmp_path / "results"
    words = ["--models", f"m={material}/classifier", "--datasets", f"beir/nfcorpus={folder}", "--output", str(output)]
    words += ["--retriever", "bm25", "--depth", "3", RUNNER]
    assert main([*words, "--plan"]) == 0
    planned = capsys.readouterr().out.splitlines()
    assert planned[1].split() == ["m", "beir/nfcorpus", "to", "do", "at", "most", "969", "?", "?"]  # 323 queries
    assert "not in the sums: the making of candidates, which are not there yet" in planned
    assert main(words) == 0
    cell = cells_of(output)["m", "beir/nfcorpus"]
    assert cell.candidates["retriever"] == "bm25"
    assert cell.candidates["provenance"]["corpus_documents"] == 4
    assert cell.candidates["identical_ids_left_out"]
    assert (cell.depth, cell.list_recall, cell.queries["with_candidates"]) == (2, 1.0, 2)
    assert cell.departures == {}
    # The same candidates, named as files, are known for what they are.
    [made] = (output / "candidates").iterdir()
    files = f"BEIR/NFCorpus={made}/candidates/*.parquet,{made}/qrels.txt"
    words = ["--models", f"m={material}/classifier", "--datasets", files, "--output", str(tmp_path / "again"), RUNNER]
    assert main([*words, "--max_length", "16"]) == 0
    again = cells_of(tmp_path / "again")["m", "beir/nfcorpus"]
    assert again.candidates["retriever"] == "bm25"
    assert again.candidates["provenance"] == cell.candidates["provenance"]
    assert again.departures == {"max_length": 16}


@pytest.mark.parametrize(
    "words", [["--datasets=x=gss://b/c,gss://b/q"], ["--datasets=beir/scifact", "--retriever=run:gss://b/q"]]
)
def test_files_of_no_file_system_are_one_line(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--models=small-cross-encoder", f"--output={tmp_path / 'out'}", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: gss://b/q: Unable to get filesystem")
    assert error.count("\n") == 1
