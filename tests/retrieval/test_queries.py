from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import copies
from transforms.base.errors import UserError
from transforms.retrieval import queries, source


def test_judged_queries_of_the_split_in_their_own_order(tmp_path: Path) -> None:
    read = queries.read(source.of_dataset(str(copies.directory(tmp_path))))
    assert read.table.to_pylist() == [
        {"number": 0, "query_id": "7", "query": "pandas eat bamboo"},
        {"number": 1, "query_id": "1", "query": "who directed the film"},
    ]
    assert read.judgements == {"1": {"doc2": 1}, "7": {"doc1": 2}}
    assert read.answers == {}


def test_all_queries_without_judgements(tmp_path: Path) -> None:
    folder = copies.directory(tmp_path)
    own = source.of_files([str(folder / "corpus.jsonl")], [str(folder / "queries.jsonl")], [])
    assert queries.read(own).table["query_id"].to_pylist() == ["7", "1", "9"]


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (
            "qrels/test.tsv",
            b"5\td\t1\n",
            "{folder}: 1 judged query is not among the queries, '5' for one; do the files belong together?",
        ),
        (
            "queries.jsonl",
            copies.lines([copies.CLAIMS[0]] * 2),
            "{folder}/queries.jsonl: query '7' comes up twice; keep it once",
        ),
        ("qrels/test.tsv", b"query-id\tcorpus-id\tscore\n", "{folder}: no queries in {folder}/queries.jsonl"),
    ],
)
def test_mistakes(tmp_path: Path, file: str, content: bytes, said: str) -> None:
    folder = copies.write(copies.directory(tmp_path), {file: content})
    with pytest.raises(UserError) as refused:
        queries.read(source.of_dataset(str(folder)))
    assert str(refused.value) == said.format(folder=folder)


def test_two_grades_for_one_document(tmp_path: Path) -> None:
    folder = copies.write(copies.directory(tmp_path), {"qrels/test.tsv": b"7\td\t1\n7\td\t1\n7\td\t0\n"})
    with pytest.raises(UserError, match=r"test\.tsv: query '7' has two grades for document 'd', 1 and 0; keep one$"):
        queries.read(source.of_dataset(str(folder)))
