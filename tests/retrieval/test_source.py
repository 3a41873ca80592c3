from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import copies
from transforms.base import hub
from transforms.base.errors import UserError
from transforms.retrieval import source


def test_local_copy_in_the_hubs_layout(tmp_path: Path) -> None:
    data = copies.local(tmp_path)
    files = source.of_dataset("miracl/yo", data_dir=str(data))
    corpus = "miracl-corpus-v1.0-yo/docs-{}.jsonl.gz"
    assert [file.name for file in files.corpus] == [f"miracl/miracl-corpus/{corpus.format(i)}" for i in (0, 1)]
    assert [file.path for file in files.corpus] == [str(data / file.name) for file in files.corpus]
    assert (files.split, files.language, files.exclude_identical_ids) == ("dev", "yo", False)
    assert files.revisions == {"miracl/miracl-corpus": None, "miracl/miracl": None}


def test_split_of_ones_own(tmp_path: Path) -> None:
    files = source.of_dataset("beir/scifact", split="train", data_dir=str(copies.local(tmp_path)))
    assert [file.name for file in files.qrels] == ["BeIR/scifact-qrels/train.tsv"]


def test_directory_in_beirs_layout(tmp_path: Path) -> None:
    folder = copies.directory(tmp_path / "mine")
    files = source.of_dataset(str(folder))
    assert [file.name for file in (*files.corpus, *files.queries, *files.qrels)] == [
        f"{folder}/corpus.jsonl",
        f"{folder}/queries.jsonl",
        f"{folder}/qrels/test.tsv",
    ]
    assert (files.exclude_identical_ids, files.revisions) == (True, {})


def test_a_job_that_is_continued_reads_the_commit_that_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = copies.local(tmp_path)
    fetches = []

    def fetch(name: str, revision: str | None, wanted: list[str], kind: str) -> tuple[Path, str]:
        fetches.append((name, revision, kind))
        return data / name, revision or "newest"

    monkeypatch.setattr(hub, "fetch", fetch)
    files = source.of_dataset("beir/scifact", revisions={"BeIR/scifact": "abc"})
    assert fetches == [("BeIR/scifact", "abc", "dataset"), ("BeIR/scifact-qrels", None, "dataset")]
    assert files.revisions == {"BeIR/scifact": "abc", "BeIR/scifact-qrels": "newest"}


def test_first_pattern_that_matches_counts(tmp_path: Path) -> None:
    folder = copies.directory(tmp_path)
    copies.write(folder, {"corpus.jsonl.gz": copies.packed(b"{}"), "corpus/corpus.parquet": b""})
    assert [file.name for file in source.of_dataset(str(folder)).corpus] == [f"{folder}/corpus.jsonl.gz"]


@pytest.mark.parametrize("more", [0, 10_000])
def test_file_that_changes_is_reported_wherever_it_changes(tmp_path: Path, more: int) -> None:
    folder = copies.directory(tmp_path, [*copies.WIKIPEDIA, *({"_id": f"d{n}", "text": "x"} for n in range(more))])
    before = source.of_dataset(str(folder)).corpus[0]
    content = (folder / "corpus.jsonl").read_bytes()
    (folder / "corpus.jsonl").write_bytes(content.replace(b"bamboo", b"bambus"))
    after = source.of_dataset(str(folder)).corpus[0]
    assert (after.size, after.path) == (before.size, before.path)
    assert after.digest != before.digest


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    data = copies.local(tmp_path)
    shutil.rmtree(data / "apple")
    with pytest.raises(UserError) as refused:
        source.of_dataset("mkqa/de", data_dir=str(data))
    assert str(refused.value) == (
        f"dataset mkqa/de: {data}/apple/mkqa is not a directory; copy the hub's apple/mkqa there, "
        "or leave --data_dir out"
    )
    with pytest.raises(UserError) as refused:
        source.of_dataset("coir/cosqa", split="dev", data_dir=str(data))
    assert str(refused.value) == (
        "dataset coir/cosqa: CoIR-Retrieval/cosqa-qrels has no data/dev-*.parquet or dev/*.parquet; is the split 'dev' "
        "one of its own, and the copy whole? If the hub has changed, --data_dir reads a local copy"
    )
    with pytest.raises(UserError, match=r"^--split dev: mkqa/de has one split alone; leave it out$"):
        source.of_dataset("mkqa/de", split="dev", data_dir=str(data))
    own = copies.directory(tmp_path / "own")
    with pytest.raises(UserError) as refused:
        source.of_dataset(str(own), split="dev")
    assert str(refused.value) == (
        f"dataset {own}: it has no qrels/dev.tsv or qrels/dev.tsv.gz; is the split 'dev' one of its own, and the copy "
        "whole? Files of other names are for --corpus, --queries, --qrels"
    )
    with pytest.raises(UserError, match=r"nothing.*matches no file"):
        source.of_files([str(tmp_path / "nothing")], [str(tmp_path / "BeIR/scifact/queries.jsonl.gz")], [])
