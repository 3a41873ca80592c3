"""What a benchmark knows of candidates that it did not make itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.benchmark.candidates import look_at, named_by, report_in
from pipelines.benchmark.data_sets import BenchmarkDataSet
from tests.support.input_files import candidate, nested_table, query, write
from transforms.base.errors import UserError
from transforms.scoring import catalogue

V3, CODE = "jinaai/jina-embeddings-v3", "jinaai/jina-code-embeddings-0.5b"


def dense(name: str, revision: str | None = None, **settings: Any) -> dict[str, Any]:
    """As candidates.json has it of a first stage with a model's own settings, and some others."""
    model = catalogue.named(name)
    identity: dict[str, Any] = {"files": {"model.safetensors": "0"}}
    usual: dict[str, Any] = {"max_length": 512, "size": 384, "task": None}
    if model is not None:
        identity = {"name": name, "revision": revision or model.revision}
        usual = {
            "max_length": 8192,
            "size": {V3: 1024, CODE: 896}[name],
            "task": {V3: "retrieval"}.get(name, "nl2code"),
        }
    return {"kind": "dense", "name": name, "like": V3, "model": identity, "settings": usual | settings}


@pytest.mark.parametrize(
    ("retriever", "dataset", "name"),
    [
        ({"kind": "bm25", "k1": 0.9}, "own", "bm25"),
        ({"kind": "run", "path": "/a.trec", "sha256": "0"}, "own", "run:/a.trec"),
        (dense(V3), "beir/nq", f"dense:{V3}"),
        (dense(V3, max_length=512), "beir/nq", f"dense:{V3} (max_length 512)"),
        (dense(V3, revision="abc", size=64), "beir/nq", f"dense:{V3} (revision abc, size 64)"),
        (dense("/models/ours"), "beir/nq", "dense:/models/ours"),  # whatever model it was treated as
        (dense(CODE), "coir/cosqa", f"dense:{CODE}"),
        (dense(CODE), "coir/codesearchnet-go", f"dense:{CODE} (task nl2code)"),
        (dense(CODE, task="code2nl"), "coir/codesearchnet-go", f"dense:{CODE}"),
        (dense(CODE), "own", f"dense:{CODE}"),
    ],
)
def test_a_first_stage_is_named_with_what_is_not_as_usual(retriever: dict[str, Any], dataset: str, name: str) -> None:
    assert named_by(retriever, dataset) == name


@pytest.mark.parametrize("content", ["{", "[]", '{"x": 1}', '{"retriever": {"kind": "dense"}}', "[" * 100_000, "3"])
def test_what_is_not_ours_tells_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "candidates.json").write_text(content)
    assert report_in(str(tmp_path)) == {}


def test_candidates_whose_report_is_missing_or_damaged_are_to_be_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    source = write(folder / "candidates" / "part-00000.parquet", nested_table([query("q", [candidate("d")])]))
    (folder / "qrels.txt").write_text("q 0 d 1\n")
    whole = BenchmarkDataSet("own", source="own")
    for content in (None, "{"):
        if content is not None:
            (folder / "candidates.json").write_text(content)
        with pytest.raises(UserError, match=f"candidates.json is missing or damaged; delete {folder} to make the"):
            look_at(whole, source, str(folder / "qrels.txt"), "bm25", str(folder))
    assert look_at(whole, source, str(folder / "qrels.txt")).retriever is None


def test_a_list_of_languages_is_refused(tmp_path: Path) -> None:
    table = nested_table([query("q", [candidate("d")])])
    source = write(tmp_path / "in.parquet", table.append_column("lang", pa.array([["en"]])))
    (tmp_path / "qrels").write_text("q 0 d 1\n")
    with pytest.raises(UserError) as refused:
        look_at(BenchmarkDataSet("own"), source, str(tmp_path / "qrels"))
    assert str(refused.value) == (
        f"{source}: column lang is list<element: string>; give it a text a query, or another name"
    )


def test_what_is_ours_tells_all(tmp_path: Path) -> None:
    content = {"dataset": "beir/nq", "retriever": {"kind": "bm25"}}
    (tmp_path / "candidates.json").write_text(json.dumps(content))
    assert report_in(str(tmp_path)) == content
    assert report_in(None) == {}
