from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from transforms.retrieval import join, step_files

Rows = Sequence[tuple[Any, ...]]


def table_of(rows: Rows, schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def prepare(folder: Path, queries: int, hits: Sequence[Rows], corpus: Sequence[Rows]) -> str:
    """A job's steps before the join, with hits (query, document, score) and documents (id, title, text)."""
    output = str(folder)
    questions = [(number, f"q{number}", f"text {number}") for number in range(queries)]
    step_files.write(step_files.queries_path(output), table_of(questions, step_files.QUERIES))
    for place, rows in enumerate(corpus):
        step_files.write(step_files.corpus_path(output, f"part-{place}"), table_of(rows, step_files.CORPUS))
    for place, rows in enumerate(hits):
        step_files.write(step_files.hits_path(output, f"hits-{place}"), table_of(rows, step_files.HITS))
    return output


def run(output: str, depth: int = 2, exclude: bool = False) -> list[int]:
    shards = [path.stem for path in Path(output, "_work/corpus").iterdir()]
    hits = sorted(path.stem for path in Path(output, "_work/hits").iterdir())
    return list(join.write_parts(output, shards, hits, depth=depth, exclude_identical_ids=exclude))


def lists(output: str) -> dict[str, list[dict[str, Any]]]:
    rows = [row for part in sorted(Path(output, "candidates").iterdir()) for row in pq.read_table(part).to_pylist()]
    return {row["query_id"]: row["candidates"] for row in rows}


def ids(output: str) -> dict[str, list[str]]:
    return {query_id: [entry["doc_id"] for entry in entries] for query_id, entries in lists(output).items()}


DOCUMENTS = [("d1", "T", "one"), ("d2", None, "two"), ("q0", "", "three")]


def test_lists_with_texts_scores_and_ranks(tmp_path: Path) -> None:
    hits = [("q0", "d2", 0.5), ("q0", "d1", 1.5), ("q1", "d1", -2.0)]
    output = prepare(tmp_path, 2, [hits], [DOCUMENTS])
    assert run(output) == [0]
    assert lists(output) == {
        "q0": [
            {"doc_id": "d1", "text": "one", "title": "T", "score": 1.5, "rank": 1},
            {"doc_id": "d2", "text": "two", "title": None, "score": 0.5, "rank": 2},
        ],
        "q1": [{"doc_id": "d1", "text": "one", "title": "T", "score": -2.0, "rank": 1}],
    }
    assert step_files.record(join.part_path(output, 0)) == {
        "queries": 2,
        "pairs": 3,
        "without_candidates": 0,
        "not_in_corpus": 0,
    }


def test_best_of_all_files_and_ties_by_document_descending(tmp_path: Path) -> None:
    corpus = [[(doc_id, None, doc_id)] for doc_id in ("9", "10", "a", "b")]
    hits = [[("q0", "10", 1.0), ("q0", "b", 0.5)], [("q0", "9", 1.0)], [("q0", "a", 1.0)]]
    output = prepare(tmp_path, 1, hits, corpus)
    run(output, depth=3)
    assert ids(output) == {"q0": ["a", "9", "10"]}


@pytest.mark.parametrize(("exclude", "expected"), [(True, ["d2", "d1"]), (False, ["q0", "d2"])])
def test_a_document_with_the_querys_id_makes_room(tmp_path: Path, exclude: bool, expected: list[str]) -> None:
    output = prepare(tmp_path, 1, [[("q0", "q0", 9.0), ("q0", "d2", 2.0), ("q0", "d1", 1.0)]], [DOCUMENTS])
    run(output, exclude=exclude)
    assert ids(output) == {"q0": expected}


def test_queries_without_hits_have_empty_lists_and_unknown_ones_none(tmp_path: Path) -> None:
    output = prepare(tmp_path, 3, [[("q1", "d1", 1.0), ("other", "d1", 1.0)], []], [DOCUMENTS, []])
    run(output)
    assert ids(output) == {"q0": [], "q1": ["d1"], "q2": []}
    assert step_files.record(join.part_path(output, 0))["without_candidates"] == 2


def test_documents_that_are_not_there_are_counted(tmp_path: Path) -> None:
    output = prepare(tmp_path, 1, [[("q0", "gone", 3.0), ("q0", "d1", 2.0), ("q0", "d2", 1.0)]], [DOCUMENTS])
    run(output)
    assert [(entry["doc_id"], entry["rank"]) for entry in lists(output)["q0"]] == [("d1", 2)]
    assert step_files.record(join.part_path(output, 0))["not_in_corpus"] == 1


def test_what_comes_twice_counts_once(tmp_path: Path) -> None:
    corpus = [[("d1", None, "first")], [("d1", None, "second"), ("d2", None, "two")]]
    output = prepare(tmp_path, 1, [[("q0", "d1", 1.0), ("q0", "d1", 3.0), ("q0", "d2", 2.0)]], corpus)
    run(output)
    entries = [(entry["doc_id"], entry["text"], entry["score"]) for entry in lists(output)["q0"]]
    assert entries == [("d1", "first", 3.0), ("d2", "two", 2.0)]


def test_parts_hold_whole_queries_and_missing_ones_are_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "PART_PAIRS", 4)  # two queries of depth 2
    hits = [(f"q{query}", doc_id, 1.0) for query in (6, 0, 5, 2, 1) for doc_id in ("d1", "d2")]
    output = prepare(tmp_path, 7, [hits], [DOCUMENTS])
    assert run(output) == [0, 1, 2, 3]
    assert [pq.read_table(join.part_path(output, part))["query_id"].to_pylist() for part in range(4)] == [
        ["q0", "q1"],
        ["q2", "q3"],
        ["q4", "q5"],
        ["q6"],
    ]
    assert ids(output) == {f"q{query}": [] if query in (3, 4) else ["d2", "d1"] for query in range(7)}

    before = {part: Path(join.part_path(output, part)).read_bytes() for part in range(4)}
    for part in (1, 3):
        Path(join.part_path(output, part)).unlink()
    Path(join.part_path(output, 0)).write_bytes(b"as it was")
    assert run(output) == [1, 3]
    assert {part: Path(join.part_path(output, part)).read_bytes() for part in range(1, 4)} == {
        part: before[part] for part in range(1, 4)
    }
    assert run(output) == []


def test_many_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "_BATCH_ROWS", 3)
    monkeypatch.setattr(join, "PART_PAIRS", 20)
    hits = [(f"q{query}", f"d{(query + place) % 10}", float(place)) for query in range(9) for place in range(10)]
    corpus = [[(f"d{number}", None, str(number))] for number in range(10)]
    output = prepare(tmp_path, 9, [hits], corpus)
    run(output, depth=10)
    assert ids(output) == {f"q{query}": [f"d{(query + 9 - i) % 10}" for i in range(10)] for query in range(9)}
