"""What names on the benchmark's command line mean, and which options a model gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval.published.scores import BENCHMARKS
from pipelines.benchmark.data_sets import BenchmarkDataSet, data_set, data_sets
from pipelines.benchmark.entrants import CODE_MODEL, CODE_TASKS, Entrant, code_task, entrant, first_stage, model_options
from pipelines.benchmark.options import build_parser
from transforms.base.errors import UserError
from transforms.scoring import catalogue

V2, V3 = "jinaai/jina-reranker-v2-base-multilingual", "jinaai/jina-reranker-v3"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("small-cross-encoder", Entrant("small-cross-encoder", "small-cross-encoder", None)),
        (V3, Entrant(V3, V3, None)),
        (f"{V3}=/models/v3", Entrant(V3, "/models/v3", V3)),
        ("ours=/models/ours", Entrant("ours", "/models/ours", None)),
        ("https://host/v1/rerank?a=b", Entrant("https://host/v1/rerank?a=b", "https://host/v1/rerank?a=b", None)),
        (f"{V3}=https://host/v1/rerank?a=b", Entrant(V3, "https://host/v1/rerank?a=b", None)),
    ],
)
def test_a_model_may_have_a_name_of_its_own(text: str, expected: Entrant) -> None:
    assert entrant(text) == expected


def test_a_data_set_is_a_name_a_directory_or_files(tmp_path: Path) -> None:
    assert data_set("BEIR/SciFact") == BenchmarkDataSet("beir/scifact", source="BEIR/SciFact")
    assert data_set(f"beir/scifact={tmp_path}") == BenchmarkDataSet("beir/scifact", source=str(tmp_path))
    assert data_set(f"BEIR/SciFact={tmp_path}") == BenchmarkDataSet("beir/scifact", source=str(tmp_path))
    (tmp_path / "BeIR" / "nq").mkdir(parents=True)
    assert data_set(f"mkqa/de={tmp_path}") == BenchmarkDataSet("mkqa/de", source="mkqa/de", copies=str(tmp_path))
    assert data_set(str(tmp_path)) == BenchmarkDataSet(str(tmp_path), source=str(tmp_path))
    assert data_set("BEIR/ArguAna=a.parquet,c.qrels") == BenchmarkDataSet("beir/arguana", None, "a.parquet", "c.qrels")
    assert data_set("XQuAD-R=a,b.parquet,c.qrels") == BenchmarkDataSet("XQuAD-R", None, "a,b.parquet", "c.qrels")


def test_a_data_set_in_parts_is_all_of_them(tmp_path: Path) -> None:
    languages = ("go", "java", "javascript", "php", "python", "ruby")
    names = [f"coir/codesearchnet-{language}" for language in languages]
    assert data_sets("CoIR/CodeSearchNet") == [BenchmarkDataSet(name, source=name) for name in names]
    for name in names:
        (tmp_path / f"CoIR-Retrieval/CodeSearchNet-{name.rpartition('-')[2]}-queries-corpus").mkdir(parents=True)
    copies = str(tmp_path)
    assert data_sets(f"coir/codesearchnet={copies}") == [BenchmarkDataSet(name, name, copies=copies) for name in names]
    whole = BenchmarkDataSet("coir/codesearchnet", None, "a.parquet", "a.qrels")
    assert data_sets("CoIR/CodeSearchNet=a.parquet,a.qrels") == [whole]
    (tmp_path / "beir").mkdir()
    one = BenchmarkDataSet("coir/codesearchnet", source=f"{tmp_path}/beir")  # in BEIR's layout
    assert data_sets(f"coir/codesearchnet={tmp_path}/beir") == [one]
    assert data_sets("coir/cosqa") == [BenchmarkDataSet("coir/cosqa", source="coir/cosqa")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("miracl/yoo", "did you mean miracl/yo?"),
        ("=a.parquet,b.qrels", "give NAME, NAME=DIRECTORY or NAME=CANDIDATES,QRELS"),
        ("x=", "give NAME, NAME=DIRECTORY or NAME=CANDIDATES,QRELS"),
        ("x=a.parquet,", "give NAME, NAME=DIRECTORY or NAME=CANDIDATES,QRELS"),
        ("mkqa/de=.", "MKQA is measured by answers, which BEIR's layout has not"),
        ("mkqa/xx=.", "MKQA is measured by answers, which BEIR's layout has not"),
        ("README.md", "is a file; give its judgements too, NAME=README.md,QRELS"),
        ("x=README.md", "README.md is a file; give its judgements too, NAME=README.md,QRELS"),
        ("x=nowhere", "there is no directory nowhere; check the path"),
    ],
)
def test_what_is_no_data_set_is_reported(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        data_set(text)


@pytest.mark.parametrize(
    ("name", "benchmark"),
    [("beir/scifact", "beir"), ("mkqa/de", "mkqa"), ("own/beir", None), ("beir", None), ("XQuAD-R", None)],
)
def test_a_data_set_knows_its_benchmark(name: str, benchmark: str | None) -> None:
    assert BenchmarkDataSet(name).benchmark == benchmark


def test_the_first_stage_is_the_table_s_unless_another_is_asked_for() -> None:
    v3, code = "dense:jinaai/jina-embeddings-v3", "dense:jinaai/jina-code-embeddings-0.5b"
    assert first_stage(BenchmarkDataSet("miracl/yo"), None) == (v3, v3, None)
    assert first_stage(BenchmarkDataSet("coir/apps"), None) == (code, code, None)
    assert first_stage(BenchmarkDataSet("own"), None) == (v3, v3, None)
    assert first_stage(BenchmarkDataSet("coir/apps"), "bm25") == ("bm25", "bm25", None)


def test_a_dense_first_stage_may_have_a_name_as_models_have() -> None:
    v3 = "jinaai/jina-embeddings-v3"
    assert first_stage(BenchmarkDataSet("own"), f"dense:{v3}=/models/v3") == (f"dense:{v3}", "dense:/models/v3", v3)
    assert first_stage(BenchmarkDataSet("own"), "dense:ours=/models/x") == ("dense:ours", "dense:/models/x", None)


def options(name: str, dataset: str = "beir/nq", **requested: Any) -> dict[str, Any]:
    model = catalogue.named(name)
    assert model is not None
    return model_options(model, dataset, requested)


def test_the_published_protocol_is_the_default() -> None:
    assert options(V3) == {"group_size": 125}
    assert options(V2) == {"long_documents": "truncate"}
    assert options("BAAI/bge-reranker-v2-m3") == {}
    assert options(CODE_MODEL, "coir/codesearchnet-ccr-go") == {"task": "code2completion"}
    assert options(CODE_MODEL, "own") == {}


def test_an_option_is_for_the_models_that_have_it() -> None:
    requested: dict[str, Any] = {"group_size": 64, "long_documents": "window", "task": None}
    assert options(V3, **requested) == {"group_size": 64}
    assert options(V2, **requested) == {"long_documents": "window"}
    assert options("Qwen/Qwen3-Reranker-4B", **requested) == {}
    assert options(CODE_MODEL, "coir/apps", task="qa") == {"task": "qa"}


def test_every_code_data_set_has_a_task_of_the_model() -> None:
    tasks = {dataset: code_task(dataset) for dataset in BENCHMARKS["coir"].datasets}
    assert (
        set(tasks.values()) == {"nl2code", "qa", "code2code", "code2nl", "code2completion"} == set(CODE_TASKS.values())
    )
    assert tasks["coir/codesearchnet"] == "code2nl"
    assert tasks["coir/codesearchnet-ccr"] == "code2completion"
    assert code_task("beir/nq") is None


@pytest.mark.parametrize("option", ["--retriever=bm26", "--retriever=dense:", "--depth=100000"])
def test_a_first_stage_that_cannot_be(option: str) -> None:
    with pytest.raises(UserError, match=rf"^argument {option.partition('=')[0]}: "):
        build_parser().parse_args(["--models", "m", "--datasets", "beir/scifact", "--output", "o", option])
