"""Every command where the terminal knows ASCII alone, with ids and names that it cannot show or would obey."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import tiny

ROOT = Path(__file__).resolve().parents[2]
ODD = "é\x1b[2J日"
# One process for all commands, since each takes seconds to import what it needs.
COMMANDS = """
import json, sys
from pipelines.command import main
sys.stderr.write(json.dumps([main(words) for words in json.load(sys.stdin)]))
sys.stderr.flush()
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two queries and four documents, all with odd ids, in a folder with an odd name."""
    folder = tmp_path / "données"
    folder.mkdir()
    words = ["apple tree", "banana boat", "cherry pie", "apple pie"]
    documents = [{"_id": f"d{number}{ODD}", "text": text} for number, text in enumerate(words)]
    queries = [{"_id": f"q{number}{ODD}", "text": text} for number, text in enumerate(["apple", "banana"])]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "qrels.txt").write_text(f"q0{ODD} 0 d0{ODD} 1\nq1{ODD} 0 d1{ODD} 1\n", encoding="utf-8")
    return folder


def commands(data: Path) -> list[list[str]]:
    made, out, results, qrels = str(data / "made"), str(data / "out"), str(data / "results"), str(data / "qrels.txt")
    model, parts = str(tiny.bert(data / "model")), f"{made}/candidates/*.parquet"
    corpus = ["--corpus", str(data / "corpus.jsonl"), "--queries", str(data / "queries.jsonl"), "--qrels", qrels]
    return [
        ["candidates", *corpus, "--retriever", "bm25", "--language", "en", "--depth", "3", "--output", made],
        ["rerank", "--input", made, "--model", model, "--output", out],
        ["rerank", "--input", made, "--model", f"{model}{ODD}", "--output", f"{out}{ODD}"],
        ["verify-output", out],
        ["measure", out, "--qrels", qrels, "--per_query", str(data / "by_query.tsv")],
        ["measure", f"{out}{ODD}", "--qrels", qrels],
        ["export", out, "--to", str(data / "run"), "--format", "trec"],
        ["compare", out, str(data / "run" / "run.trec"), "--qrels", qrels],
        ["benchmark", "--models", f"m{ODD}={model}", "--datasets", f"d{ODD}={parts},{qrels}", "--output", results],
        ["table", results],
    ]


def ends(words: list[list[str]]) -> tuple[list[int], bytes]:
    """The commands' exit codes, and all that they print."""
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        input=json.dumps(words).encode(),
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        timeout=300,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed.decode()
    codes: list[int] = json.loads(done.stderr[done.stderr.rindex(b"[") :])
    return codes, printed


def test_every_command_ends_as_ever_where_the_terminal_knows_ascii_alone(data: Path) -> None:
    codes, printed = ends(commands(data))
    assert codes == [0, 0, 2, 0, 0, 2, 0, 0, 0, 0]
    assert printed.isascii()
    assert b"\x1b" not in printed
    assert b"Traceback" not in printed
