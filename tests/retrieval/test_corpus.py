from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import copies
from transforms.base.errors import UserError
from transforms.retrieval import corpus, step_files
from transforms.retrieval.source import SourceFile


def shards(folder: Path, rows: list[dict[str, Any]], shard_documents: int = 2) -> list[str]:
    (folder / "corpus.jsonl").write_bytes(copies.lines(rows))
    source = SourceFile(str(folder / "corpus.jsonl"), "corpus.jsonl", 0, "")
    return list(corpus.write_shards(source, 3, str(folder / "out"), shard_documents))


def test_shards(tmp_path: Path) -> None:
    rows = [{"_id": number, "title": "T" if number else None, "text": f"t{number}"} for number in range(3)]
    names = shards(tmp_path, rows)
    assert names == ["part-00003-00000", "part-00003-00001"]
    paths = [step_files.corpus_path(str(tmp_path / "out"), name) for name in names]
    assert [row for path in paths for row in step_files.read(path).to_pylist()] == [
        {"doc_id": "0", "title": None, "text": "t0"},
        {"doc_id": "1", "title": "T", "text": "t1"},
        {"doc_id": "2", "title": "T", "text": "t2"},
    ]
    assert [step_files.record(path) for path in paths] == [
        {"documents": 2, "without_text": 0, "last": False},
        {"documents": 1, "without_text": 0, "last": True},
    ]
    assert corpus.shards_of(str(tmp_path / "out")) == {"part-00003": names}


def test_long_texts_make_small_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "SHARD_BYTES", 10)
    rows = [{"_id": number, "text": "12345"} for number in range(4)]
    assert len(shards(tmp_path, rows, shard_documents=100)) == 2


def test_documents_without_a_text_are_counted(tmp_path: Path) -> None:
    [name] = shards(tmp_path, [{"_id": "a", "text": None}])
    path = step_files.corpus_path(str(tmp_path / "out"), name)
    assert step_files.record(path) == {"documents": 0, "without_text": 1, "last": True}
    assert step_files.read(path).num_rows == 0


def test_a_second_try_does_what_is_missing(tmp_path: Path) -> None:
    rows = [{"_id": number, "text": "t"} for number in range(6)]
    names = shards(tmp_path, rows)
    paths = [Path(step_files.corpus_path(str(tmp_path / "out"), name)) for name in names]
    before = [path.read_bytes() for path in paths]
    paths[2].unlink()
    paths[0].write_bytes(b"as it was")  # a shard that is there is skipped
    assert shards(tmp_path, rows) == names
    assert [path.read_bytes() for path in paths] == [b"as it was", *before[1:]]
    # All there: the file is not even read.
    (tmp_path / "corpus.jsonl").unlink()
    source = SourceFile(str(tmp_path / "corpus.jsonl"), "corpus.jsonl", 0, "")
    assert list(corpus.write_shards(source, 3, str(tmp_path / "out"), 2)) == names


def test_what_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"corpus.jsonl: line 2: a document has no text or passage, but _id"):
        shards(tmp_path, [{"_id": 1, "text": "a"}, {"_id": 2}])
