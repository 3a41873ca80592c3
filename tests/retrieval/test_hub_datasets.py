"""Each benchmark's loader against a hub on loopback and against a local copy. What asks the hub runs in a process of
its own, since the hub's library reads the environment when it is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.candidates.__main__ import main
from tests.support import copies
from tests.support.stub_hub import COMMIT, Fault, Hub, serving

NAMES = ("beir/scifact", "miracl/yo", "mkqa/de", "coir/cosqa")
BAD_NAMES = ("beir/nfcorpus", "beir/fever", "beir/fiqa", "beir/quora")
MAKE = """
import json, sys, time
time.sleep = lambda seconds: None
from pipelines.candidates.__main__ import main
folder, names = json.loads(sys.argv[1])
for name in names:
    code = main(["--dataset", name, "--retriever", "bm25", "--output", f"{folder}/{name}", "--runner=FnApiRunner"])
    print("exit", code, file=sys.stderr)
"""


def made(output: Path) -> dict[str, list[str]]:
    """Query id -> documents of its list, in their order."""
    rows = [row for part in sorted(output.glob("candidates/part-*.parquet")) for row in pq.read_table(part).to_pylist()]
    return {row["query_id"]: [candidate["doc_id"] for candidate in row["candidates"]] for row in rows}


def report(output: Path) -> dict[str, Any]:
    return dict(json.loads((output / "candidates.json").read_text(encoding="utf-8")))


def from_hub(hub: Hub, folder: Path, *names: str) -> list[str]:
    """What the command said to stderr, besides progress."""
    environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "0"}
    environment |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1"}
    arguments = [sys.executable, "-c", MAKE, json.dumps([str(folder), names])]
    done = subprocess.run(arguments, env=os.environ | environment, stderr=subprocess.PIPE, text=True, check=True)
    return [line for line in done.stderr.splitlines() if line.startswith(("error", "exit"))]


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    broken = copies.hub()["BeIR/scifact"] | {"corpus.jsonl.gz": copies.packed(b'{"_id": "1", "body": "moved"}\n')}
    emptied = {"README.md": b"moved"}
    files = copies.hub() | {"BeIR/fiqa": broken, "BeIR/fiqa-qrels": copies.hub()["BeIR/scifact-qrels"]}
    files |= {"BeIR/quora": emptied, "BeIR/quora-qrels": emptied}
    with serving(Hub(files, [Fault("/BeIR/fever", 403, {"X-Error-Code": "GatedRepo"})])) as running:
        yield running


@pytest.fixture(scope="module")
def run(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Where the outputs are, and what was said; one process, whose imports take seconds, makes all."""
    folder = tmp_path_factory.mktemp("fetched")
    return folder, from_hub(hub, folder, *NAMES, *BAD_NAMES)


@pytest.fixture(scope="module")
def fetched(run: tuple[Path, list[str]]) -> Path:
    folder, lines = run
    assert lines[:4] == ["exit 0"] * 4
    return folder


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copied")
    data = copies.local(folder / "data")
    for name in NAMES:
        arguments = ["--dataset", name, "--data_dir", str(data), "--output", str(folder / name)]
        assert main([*arguments, "--retriever", "bm25", "--runner=FnApiRunner"]) == 0
    return folder


def test_lists_of_each_benchmark(fetched: Path) -> None:
    assert made(fetched / "beir/scifact") == {"7": ["doc1"], "1": ["doc2", "doc0"]}
    # The query has the id of a passage, which stays.
    assert made(fetched / "miracl/yo") == {"1#0": ["2#0", "1#0"]}
    # Two of four questions have short answers; German ones are asked of the English corpus.
    assert made(fetched / "mkqa/de") == {"31": ["doc0"], "32": ["doc0"]}
    # The whole corpus is searched, the queries are those of the split.
    assert made(fetched / "coir/cosqa") == {"q1": ["d1"]}


def test_judgements_and_answers(fetched: Path) -> None:
    qrels = {name: fetched / name / "qrels.txt" for name in NAMES}
    assert qrels["beir/scifact"].read_text() == "1\t0\tdoc2\t1\n1\t0\tdoc0\t1\n7\t0\tdoc1\t2\n"
    assert qrels["miracl/yo"].read_text() == "1#0\t0\t2#0\t1\n1#0\t0\t1#0\t0\n"
    assert qrels["coir/cosqa"].read_text() == "q1\t0\td1\t1\n"
    assert not qrels["mkqa/de"].exists()
    assert (fetched / "mkqa/de/answers.jsonl").read_text() == (
        '{"query_id": "31", "answers": ["Ridley Scott", "Sir Ridley Scott"]}\n'
        '{"query_id": "32", "answers": ["2000", "Y2K"]}\n'
    )


def test_report_names_the_commits(fetched: Path) -> None:
    reports = {name: report(fetched / name) for name in NAMES}
    assert {name: entry["source"]["revisions"] for name, entry in reports.items()} == {
        "beir/scifact": {"BeIR/scifact": COMMIT, "BeIR/scifact-qrels": COMMIT},
        "miracl/yo": {"miracl/miracl-corpus": COMMIT, "miracl/miracl": COMMIT},
        "mkqa/de": {"BeIR/nq": COMMIT, "apple/mkqa": COMMIT},
        "coir/cosqa": {"CoIR-Retrieval/cosqa-queries-corpus": COMMIT, "CoIR-Retrieval/cosqa-qrels": COMMIT},
    }
    assert {name: entry["split"] for name, entry in reports.items()} == {
        "beir/scifact": "test",
        "miracl/yo": "dev",
        "mkqa/de": "train",
        "coir/cosqa": "test",
    }
    assert [entry["exclude_identical_ids"] for entry in reports.values()] == [True, False, False, False]
    assert [entry["corpus_documents"] for entry in reports.values()] == [3, 2, 3, 2]


def test_a_local_copy_gives_the_same_bytes(fetched: Path, copied: Path) -> None:
    for name in NAMES:
        for file in ("candidates/part-00000.parquet", "answers.jsonl" if name == "mkqa/de" else "qrels.txt"):
            assert (copied / name / file).read_bytes() == (fetched / name / file).read_bytes()
        assert set(report(copied / name)["source"]["revisions"].values()) == {None}


def test_neither_code_nor_other_sets_are_fetched(fetched: Path, hub: Hub) -> None:
    fetches = [request for request in hub.requests if "/resolve/" in request]
    assert fetches
    assert not [
        request for request in fetches if request.endswith(".py") or "train.tsv" in request or "-sw/" in request
    ]


def test_missing_and_changed_sets_take_one_line(run: tuple[Path, list[str]]) -> None:
    lines = run[1][4:]
    quora = "corpus.jsonl.gz or corpus.jsonl or corpus/*.parquet or corpus/*.jsonl.gz"
    assert [line for line in lines if line.startswith("exit")] == ["exit 2"] * 4
    missing, gated, changed, emptied = (line for line in lines if line.startswith("error"))
    assert missing == (
        "error: dataset BeIR/nfcorpus: neither a directory here nor on the hub, or private there; check it, or set "
        "HF_TOKEN"
    )
    assert gated == (
        "error: dataset BeIR/fever: the hub asks you to accept its terms first; do so on its page there, then set "
        "HF_TOKEN"
    )
    assert changed.startswith("error: ")
    assert changed.endswith(
        "corpus.jsonl.gz: line 1: a document has no text or passage, but _id, body; is this the right file? For a "
        "column of your own files give --columns text=COLUMN"
    )
    assert emptied == (
        f"error: dataset beir/quora: BeIR/quora has no {quora}; is the split 'test' one of its own, and the copy "
        "whole? If the hub has changed, --data_dir reads a local copy"
    )
