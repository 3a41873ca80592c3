from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from apache_beam.internal import pickler

from tests.support import tiny_encoder
from transforms.retrieval import step_files
from transforms.retrieval.dense import Searcher, search_shard
from transforms.retrieval.transform import Dense, StepSettings, _SearchShard
from transforms.scoring import Encoder
from transforms.scoring.reranker import Specification, specify

TEXTS = {f"d{number}": " ".join("abcdefghijklmnopqrst"[number % 7 :: 1 + number % 5]) for number in range(12)}
QUERIES = pa.table([[0, 1], ["q0", "q1"], ["a b c", "t s r"]], schema=step_files.QUERIES)


@pytest.fixture(scope="module")
def specification(tmp_path_factory: pytest.TempPathFactory) -> Specification:
    encoder = specify(str(tiny_encoder.bert(tmp_path_factory.mktemp("encoder"))), device="cpu", dtype="float32")
    assert isinstance(encoder, Specification)
    return encoder


def search(specification: Specification, rows: pa.Table, k: int, queries: pa.Table = QUERIES) -> pa.Table:
    searcher = Searcher(specification, queries)
    return searcher.search(rows, searcher.embed(rows), k)


def documents(texts: dict[str, str]) -> pa.Table:
    return pa.table([list(texts), [None] * len(texts), list(texts.values())], schema=step_files.CORPUS)


def test_exact_best_of_each_query(specification: Specification) -> None:
    hits = search(specification, documents(TEXTS), 5)
    encoder = Encoder(specification)
    scores = encoder.embed(["a b c", "t s r"], "query") @ encoder.embed(list(TEXTS.values()), "document").T
    best = [[f"d{place}" for place in np.argsort(-row)[:5]] for row in scores]
    assert [row["query_id"] for row in hits.to_pylist()] == ["q0"] * 5 + ["q1"] * 5
    for query, expected in enumerate(best):
        mine = {row["doc_id"]: row["score"] for row in hits.to_pylist()[query * 5 : query * 5 + 5]}
        assert set(mine) == set(expected)
        np.testing.assert_allclose([mine[d] for d in expected], sorted(scores[query])[::-1][:5], atol=1e-6)


def test_title_is_read_and_equal_scores_stand_by_document(specification: Specification) -> None:
    rows = pa.table([["9", "10", "a"], ["b", None, ""], ["c", "b c", "b c"]], schema=step_files.CORPUS)
    hits = search(specification, rows, 2, QUERIES.slice(0, 1))
    assert hits["doc_id"].to_pylist() == ["a", "9"]
    assert len(set(hits["score"].to_pylist())) == 1


def test_empty_shard(specification: Specification) -> None:
    assert search(specification, documents({}), 5).num_rows == 0


def test_document_that_cannot_be_embedded_is_never_found(
    specification: Specification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = Encoder.embed

    def without_d3(self: Encoder, texts: list[str], side: str) -> np.ndarray:
        rows = embed(self, texts, side)  # type: ignore[arg-type]
        rows[[text == TEXTS["d3"] for text in texts]] = np.nan
        return rows

    monkeypatch.setattr(Encoder, "embed", without_d3)
    step_files.write(step_files.corpus_path(str(tmp_path), "part"), documents(TEXTS))
    search_shard(Searcher(specification, QUERIES), str(tmp_path), "part", 12)
    hits = step_files.hits_path(str(tmp_path), "part")
    assert step_files.record(hits) == {"not_embedded": 1, "queries_not_embedded": 0}
    assert sorted(step_files.read(hits)["doc_id"].to_pylist()) == sorted([d for d in TEXTS if d != "d3"] * 2)


def test_threads_of_a_worker_share_a_model(specification: Specification, tmp_path: Path) -> None:
    step_files.write(step_files.queries_path(str(tmp_path)), QUERIES)
    for name in ("one", "other"):
        step_files.write(step_files.corpus_path(str(tmp_path), name), documents(TEXTS), {"documents": len(TEXTS)})
    step = _SearchShard(StepSettings(str(tmp_path), 5, False, 100), Dense(specification))
    first, second = (pickler.loads(pickler.dumps(step)) for _ in range(2))  # as a runner gives one to each thread
    assert [*first.process("one"), *second.process("other")] == ["one", "other"]
    assert first._searcher is second._searcher is not None
    hits = [step_files.read(step_files.hits_path(str(tmp_path), name)) for name in ("one", "other")]
    assert hits[0].equals(hits[1])


@pytest.mark.parametrize("keep", [slice(0), slice(20), slice(-1), None])
def test_damaged_embeddings_are_computed_again(
    specification: Specification, tmp_path: Path, keep: slice | None
) -> None:
    searcher, embeddings = Searcher(specification, QUERIES), str(tmp_path / "kept")
    step_files.write(step_files.corpus_path(str(tmp_path), "part"), documents(TEXTS))
    search_shard(searcher, str(tmp_path), "part", 5, embeddings)
    whole = (tmp_path / "kept" / "part.npy").read_bytes()
    hits = step_files.read(step_files.hits_path(str(tmp_path), "part"))
    if keep is None:  # those of another shard
        np.save(tmp_path / "kept" / "part.npy", np.zeros((3, 8), np.float32))
    else:
        (tmp_path / "kept" / "part.npy").write_bytes(whole[keep])
    search_shard(searcher, str(tmp_path), "part", 5, embeddings)
    assert (tmp_path / "kept" / "part.npy").read_bytes() == whole
    assert step_files.read(step_files.hits_path(str(tmp_path), "part")).equals(hits)


def test_kept_embeddings_are_read_instead_of_computed(
    specification: Specification, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searcher, embeddings = Searcher(specification, QUERIES), str(tmp_path / "kept")
    for output in ("first", "second"):
        step_files.write(step_files.corpus_path(str(tmp_path / output), "part"), documents(TEXTS))
        search_shard(searcher, str(tmp_path / output), "part", 5, embeddings)
        monkeypatch.setattr(Encoder, "embed", None)  # called no more
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["part.npy"]
    hits = [step_files.read(step_files.hits_path(str(tmp_path / output), "part")) for output in ("first", "second")]
    assert hits[0].equals(hits[1])
    assert hits[0].num_rows == 10
