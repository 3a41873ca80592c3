"""The files of a comparison's cells, and what models were trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.published.training_data import trained_on
from eval.table.cells import FailedCell, cell_path, read_cells, safe_name
from tests.support.benchmark_cells import PLAIN, cell, write, write_failure
from tests.support.object_store import ObjectStore
from transforms.base.errors import UserError


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("small-cross-encoder", "small-cross-encoder"),
        ("jinaai/jina-reranker-v3", "jinaai_jina-reranker-v3-f14c6ca8"),
        ("../../etc/passwd", "etc_passwd-3754d6cb"),
        ("..", "x-5ec1f7e7"),
        (".hidden", "hidden-16924190"),
        ("", "x-e3b0c442"),
        ("日本語", "x-77710aed"),
    ],
)
def test_a_name_becomes_a_safe_file_name(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_different_names_get_different_files() -> None:
    taken = safe_name("a/b")
    names = ["a/b", "a_b", "a b", "a\nb", taken, "A/b", "a" * 200, "a" * 201]
    assert len({safe_name(name) for name in names}) == len(names)


def test_cells_and_failures_are_read_back(tmp_path: Path) -> None:
    written = cell("owner/model", "beir/scifact", 0.7)
    write(tmp_path, PLAIN, written)
    write_failure(tmp_path, "other", "own", "no weights")
    cells, failures = read_cells(str(tmp_path))
    assert sorted(cells, key=lambda each: each.dataset) == [written, PLAIN]
    assert failures == [FailedCell("other", "own", "no weights")]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"value": 1.5}, "value is not between 0 and 1"),
        ({"value": None}, "value is not between 0 and 1"),
        ({"value": float("nan")}, "value is not between 0 and 1"),
        ({"model": 3}, "model is not text"),
        ({"run": {}}, "run lacks pairs"),
        ({"candidates": {"files": []}}, "candidates lacks judgements_sha256"),
        ({"rejected": 3}, "rejected is not an object"),
        ({"rejected": {"pairs": "none"}}, "rejected pairs is not a count"),
        ({"queries": {"in_qrels": "10", "without_candidates": 1}}, "queries in_qrels is not a count"),
        ({"pairs": 1e300}, "pairs is not a count"),
        ({"parameters": "0.6B"}, "parameters is not a number"),
        ({"languages": ["en"]}, "languages is not an object"),
        ({"languages": {"en": 3}}, "languages \\* is not an object"),
        ({"languages": {"en": {"queries": 3, "reranked": "0.5"}}}, "languages \\* reranked is not between 0 and 1"),
        ({"notes": [None]}, "notes \\* is not text"),
        ({"notes": "all of it"}, "notes is not a list"),
        ({"candidates": {"files": "a.parquet"}}, "candidates files is not a list"),
        ({"candidates": {"files": [], "judgements_sha256": "j", "retriever": 3}}, "candidates retriever is not text"),
        ({"run": {"pairs": 900, "pairs_per_second": -1}}, "run pairs_per_second is not a number"),
        ({"outdated": ["why"]}, "outdated is not text"),
        ({"execution": {"device": "\ud800"}}, "'utf-8' codec can't encode character .* surrogates not allowed"),
    ],
)
def test_a_damaged_cell_is_named(tmp_path: Path, change: dict[str, object], problem: str) -> None:
    write(tmp_path, PLAIN)
    path = Path(cell_path(str(tmp_path), PLAIN.model, PLAIN.dataset))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=f"{path.name}: not a cell of a benchmark .{problem}.; delete it"):
        read_cells(str(tmp_path))


def test_the_table_of_a_cell_with_a_wrong_kind_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, PLAIN)
    path = Path(cell_path(str(tmp_path), PLAIN.model, PLAIN.dataset))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"queries": ["in_qrels", 3]}))
    assert main(["table", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"error: {path}: not a cell of a benchmark (queries is not an object); delete it and run the benchmark again\n"
    )


def test_a_cell_that_lacks_a_field_is_named(tmp_path: Path) -> None:
    write(tmp_path, PLAIN)
    path = Path(cell_path(str(tmp_path), PLAIN.model, PLAIN.dataset))
    path.write_text('{"model": "m", "dataset": "d"}')
    with pytest.raises(UserError, match=r"not a cell of a benchmark \('measure'\)"):
        read_cells(str(tmp_path))


def test_cells_are_read_from_an_object_store_without_temporaries(tmp_path: Path) -> None:
    write(tmp_path, PLAIN)
    path = cell_path("mem://bucket/results/", PLAIN.model, PLAIN.dataset)
    content = Path(cell_path(str(tmp_path), PLAIN.model, PLAIN.dataset)).read_bytes()
    ObjectStore.objects.clear()
    ObjectStore.objects |= {path: content, path.replace("small", ".small"): b"{", "mem://bucket/results/a.json": b"{"}
    assert read_cells("mem://bucket/results") == ([PLAIN], [])
    with pytest.raises(UserError, match=r"^ftp://host/results: cannot be read \(Unable to get filesystem"):
        read_cells("ftp://host/results")


def test_results_without_cells_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no cells/\*/\*.json in it; give the --output of pipelines.benchmark"):
        read_cells(str(tmp_path))


@pytest.mark.parametrize(
    ("model", "dataset", "seen"),
    [
        ("small-cross-encoder", "beir/scifact", True),
        ("small-cross-encoder", "SciFact", True),
        ("small-cross-encoder", "XQuAD-R", True),
        ("small-cross-encoder", "beir/dbpedia-entity", True),
        ("small-cross-encoder", "ci_dbpedia_graded_40x50", False),
        ("small-cross-encoder", "dbpedia_entity_40x50", False),
        ("small-cross-encoder", "bench_cosqa", False),
        ("small-cross-encoder", "beir/webis-touche2020", True),
        ("small-cross-encoder", "bench_webis_touche2020_sample", True),
        ("small-cross-encoder", "ci_scifact_40x30", True),
        ("small-cross-encoder", "FiQA-2018", True),
        ("small-cross-encoder", "trec-dl20", True),
        ("small-cross-encoder", "dl21", True),
        ("small-cross-encoder", "TREC DL 2021", True),
        ("small-cross-encoder", "trec-dl-2019", False),
        ("small-cross-encoder", "dl19", False),
        ("cross-encoder/ms-marco-MiniLM-L12-v2", "beir/scifact", False),
    ],
)
def test_what_a_model_was_trained_on_is_known_by_names(model: str, dataset: str, seen: bool) -> None:
    assert (trained_on(model, dataset) is not None) == seen
