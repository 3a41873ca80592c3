from __future__ import annotations

from math import log
from pathlib import Path

import ir_measures
import pyarrow as pa
import pytest
from ir_measures import R, nDCG

from transforms.retrieval import bm25, records, step_files
from transforms.retrieval.analysis import analyser

ENGLISH = analyser("en")


def corpus(*rows: tuple[str, str | None, str]) -> pa.Table:
    return pa.table(list(zip(*rows, strict=True)), schema=step_files.CORPUS)


def best(index: bm25.Index, query: str, k: int = 10) -> list[tuple[str, float]]:
    places, scores = index.search(query, k)
    return [(index.doc_ids[place], float(score)) for place, score in zip(places, scores, strict=True)]


def test_scores_are_lucenes() -> None:
    index = bm25.Index(
        [corpus(("a", "Cats", "run"), ("b", None, "a cat, a cat; the dog")), corpus(("c", "", "x"))], ENGLISH
    )
    # 3 documents of 2, 3 and 1 terms; "cat" is in two of them, twice in b.
    idf, average = log(1 + (3 - 2 + 0.5) / (2 + 0.5)), 2.0
    norm = {"a": 0.9 * (1 - 0.4 + 0.4 * 2 / average), "b": 0.9 * (1 - 0.4 + 0.4 * 3 / average)}
    expected = {"a": idf * 1 / (1 + norm["a"]), "b": idf * 2 / (2 + norm["b"])}
    assert [doc_id for doc_id, _ in best(index, "the cat's")] == ["b", "a"]
    assert dict(best(index, "the cat's")) == pytest.approx(expected, rel=1e-6)
    # A term that is asked twice counts twice.
    assert dict(best(index, "cat cats")) == pytest.approx({key: 2 * value for key, value in expected.items()}, rel=1e-6)


def test_equal_scores_stand_by_document_from_the_last() -> None:
    index = bm25.Index([corpus(("9", None, "cat"), ("10", None, "cat"), ("a", None, "cat"))], ENGLISH)
    assert [doc_id for doc_id, _ in best(index, "cat")] == ["a", "9", "10"]
    assert [doc_id for doc_id, _ in best(index, "cat", k=2)] == ["a", "9"]


def test_what_shares_no_term_is_not_found() -> None:
    index = bm25.Index([corpus(("a", None, "cat"), ("b", None, ""))], ENGLISH)
    assert best(index, "dog") == []
    assert best(index, "the") == []
    assert best(bm25.Index([corpus(("a", None, "the"))], ENGLISH), "cat") == []
    assert best(bm25.Index([], ENGLISH), "cat") == []


def test_scifact_as_published(fixtures: Path) -> None:
    folder = fixtures / "data/beir/scifact"
    rows = [(row.doc_id, row.title, row.text or "") for row in records.documents(str(folder / "corpus.jsonl.gz"))]
    index = bm25.Index([corpus(*rows)], ENGLISH)
    qrels: dict[str, dict[str, int]] = {}
    for judgement in records.judgements(str(folder / "qrels/test.tsv")):
        qrels.setdefault(judgement.query_id, {})[judgement.doc_id] = judgement.grade
    queries = dict(records.queries(str(folder / "queries.jsonl")))
    run = {query_id: dict(best(index, queries[query_id], k=100)) for query_id in qrels}
    measured = ir_measures.calc_aggregate([nDCG @ 10, R @ 100], qrels, run)
    assert measured[nDCG @ 10] == pytest.approx(0.6777, abs=5e-5)  # published: .6789
    assert measured[R @ 100] == pytest.approx(0.9253, abs=5e-5)  # published: .9253
