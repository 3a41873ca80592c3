"""`python -m pipelines.score`: lines in, lines out, as a process with pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.score import lines
from pipelines.score.__main__ import main
from pipelines.score.lines import lines_at_hand
from transforms.scoring import Reranker

ROOT = Path(__file__).resolve().parents[3]
TEXTS = ["b c", "d", "e f g"]


def command(model: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.score", "--model", str(model), "--dtype", "float32", *words]


def listed(query_id: str, query: str, texts: Sequence[str | None]) -> dict[str, Any]:
    candidates = [{"doc_id": f"d{place}", "text": text} for place, text in enumerate(texts)]
    return {"query_id": query_id, "query": query, "candidates": candidates}


def score(model: Path, rows: Sequence[Any], *words: str) -> tuple[int, list[dict[str, Any]]]:
    content = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()
    done = subprocess.run(command(model, *words), input=content, cwd=ROOT, capture_output=True, timeout=300)
    assert done.stderr == b""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_lists_and_pairs_are_scored_in_order(model: Path) -> None:
    pair = {"query_id": 7, "query": "a", "doc_id": "é\x7f", "title": "b", "text": "c"}
    code, lines = score(model, [listed("q1", "a", TEXTS), "", pair, listed("q2", "b", [])], "--top_k", "2")
    reranker = Reranker.load(str(model), device="cpu", dtype="float32")
    assert code == 0
    assert [line["query_id"] for line in lines] == ["q1", 7, "q2"]
    best = reranker.rank("a", TEXTS, top_k=2)
    assert [(one["doc_id"], one["rank"]) for one in lines[0]["results"]] == [
        (f"d{ranked.index}", place) for place, ranked in enumerate(best, 1)
    ]
    assert [one["score"] for one in lines[0]["results"]] == pytest.approx([one.score for one in best], abs=1e-5)
    assert lines[1] == {
        "query_id": 7,
        "doc_id": "é\x7f",
        "score": pytest.approx(reranker.score("a", ["b c"])[0], abs=1e-5),
        "truncated_tokens": 0,
    }
    assert lines[2] == {"query_id": "q2", "results": []}


def test_a_bad_line_is_a_line_of_output_and_loses_no_other(model: Path) -> None:
    pair = {"query_id": "q", "query": "a", "doc_id": "d", "text": "b"}
    rows = [
        listed("q1", "a", ["b", None]),
        "nonsense",
        "[1]",
        '{"query_id": "q"}',
        {**pair, "text": None},
        {**pair, "text": 3},
        {**pair, "instruction": "do"},
        {"query_id": "q", "query": None, "candidates": []},
        {"query_id": "q", "query": "a", "candidates": "b"},
        {"query_id": 7, "query": "a", "candidates": "b"},
        {"query_id": ["q"], "query": "a", "candidates": []},
        pair,
    ]
    code, lines = score(model, rows)
    assert code == 1
    assert [one["doc_id"] for one in lines[0]["results"]] == ["d0"]
    assert lines[0]["rejected"] == [{"doc_id": "d1", "error": "null_text: the document's text is null"}]
    neither = "is neither a list (with candidates) nor a pair (with doc_id and text)"
    assert lines[1:-1] == [
        {"line": 2, "error": "is not JSON (Expecting value: line 1 column 1 (char 0))"},
        {"line": 3, "error": neither},
        {"line": 4, "query_id": "q", "error": neither},
        {"line": 5, "query_id": "q", "doc_id": "d", "error": "null_text: the document's text is null"},
        {"line": 6, "query_id": "q", "doc_id": "d", "error": "text: an int; give a text"},
        {
            "line": 7,
            "query_id": "q",
            "doc_id": "d",
            "error": "instruction: this model takes none; leave it out, or write it into the query",
        },
        {"line": 8, "query_id": "q", "error": "null_query: the query's text is null"},
        {"line": 9, "query_id": "q", "error": "candidates: a str; give a list"},
        {"line": 10, "query_id": 7, "error": "candidates: a str; give a list"},
        {"line": 11, "error": "query_id: a list; give a text"},
    ]
    assert lines[-1].keys() == {"query_id", "doc_id", "score", "truncated_tokens"}


def test_a_line_is_answered_before_the_next_one_comes(model: Path) -> None:
    row = json.dumps(listed("q", "a", TEXTS)).encode() + b"\n"
    with subprocess.Popen(command(model), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):
            process.stdin.write(row)
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["query_id"] == "q"
        process.stdin.close()
        assert process.wait(300) == 0


def test_it_ends_without_a_word_when_its_reader_does(model: Path) -> None:
    row = json.dumps(listed("q", "a", TEXTS)).encode() + b"\n"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command(model), input=row, stdout=write, stderr=subprocess.PIPE, cwd=ROOT, timeout=300, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("closed", ["__stdin__", "__stdout__"])
def test_closed_input_or_output_is_one_line(
    closed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, closed, None)
    assert main(["--model", "small-cross-encoder"]) == 2
    line = "error: standard input or output is closed; redirect them, < IN.jsonl > OUT.jsonl, say\n"
    assert capsys.readouterr() == ("", line)


def test_a_full_disk_is_one_line(model: Path) -> None:
    row = json.dumps(listed("q", "a", TEXTS)).encode() + b"\n"
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command(model), input=row, stdout=full, stderr=subprocess.PIPE, cwd=ROOT, timeout=300, check=False
        )
    assert done.returncode == 2
    message = b"error: standard input or output fails ([Errno 28] No space left on device); see where they lead\n"
    assert done.stderr == message


def at_hand(pieces: Sequence[bytes], most: int = 1 << 20) -> list[list[bytes | None]]:
    """What is read of a pipe that holds the first piece, and gets the next one after each list."""
    read, write = os.pipe()
    batches = []

    def come(piece: bytes) -> None:
        os.write(write, piece)
        if piece is pieces[-1]:
            os.close(write)

    come(pieces[0])
    for batch in lines_at_hand(read, most):
        batches.append(batch)
        if len(batches) < len(pieces):
            come(pieces[len(batches)])
    os.close(read)
    return batches


def test_lines_that_are_at_hand_come_together() -> None:
    assert at_hand([b"a\nb\nc"]) == [[b"a", b"b", b"c"]]
    assert at_hand([b"a\n"]) == [[b"a"]]
    assert at_hand([b"a\nb", b"c\n\n"]) == [[b"a"], [b"bc", b""]]
    assert at_hand([b""]) == []


def test_a_list_of_lines_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_PIECE", 4)
    assert at_hand([b"a\nb\nc\nd\ne\n"], most=3) == [[b"a", b"b"], [b"c", b"d"], [b"e"]]


def test_a_line_that_is_too_long_is_left_out_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_PIECE", 4)
    monkeypatch.setattr(lines, "LONGEST_LINE", 6)
    assert at_hand([b"ab\n" + b"c" * 20 + b"\nd\n" + b"e" * 6]) == [[b"ab", None, b"d", b"e" * 6]]
