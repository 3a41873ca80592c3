"""The whole job with a hosted rerank API: what was committed is not paid for again, and what fails is set aside."""

from __future__ import annotations

import json
import multiprocessing
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.rerank.__main__ import main
from tests.support.stub_endpoint import KEY, Exchange, RerankServer, answer, results_of, status, unless

pytestmark = pytest.mark.usefixtures("keyed_and_quick")


def write_input(path: Path, queries: Sequence[Sequence[str]]) -> None:
    """A query a row group, so that each is a shard; documents d0, d1, ... with these texts."""
    rows = [
        {
            "query_id": f"q{number}",
            "query": f"query {number}",
            "candidates": [{"doc_id": f"d{place}", "text": text} for place, text in enumerate(texts)],
        }
        for number, texts in enumerate(queries)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1)


def arguments(folder: Path, server: RerankServer, *more: str) -> list[str]:
    ends = ["--input", str(folder / "in.parquet"), "--output", str(folder / "out")]
    return [*ends, "--model", server.address, "--endpoint_batch", "3", "--runner=DirectRunner", *more]


def parts(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "out" / "scored").glob("part-*")}


def rows(folder: Path, part: str, *columns: str) -> list[tuple[object, ...]]:
    """Rows of all part files, in order."""
    tables = [pq.read_table(path, columns=list(columns)) for path in sorted((folder / "out" / part).glob("part-*"))]
    return [tuple(row[name] for name in columns) for table in tables for row in table.to_pylist()]


def test_a_killed_job_goes_on_and_sends_no_committed_document_again(tmp_path: Path) -> None:
    texts = [[f"0.{query}{place}" for place in range(1, 8)] for query in range(1, 5)]
    write_input(tmp_path / "in.parquet", texts)
    reached = threading.Event()

    def hang_once_in_the_third(exchange: Exchange) -> None:
        if not reached.is_set() and "0.37" in exchange.received.documents:
            reached.set()
            exchange.server.closing.wait()
        answer(exchange)

    with RerankServer(habit=hang_once_in_the_third) as server:
        process = multiprocessing.get_context("forkserver").Process(target=main, args=(arguments(tmp_path, server),))
        process.start()
        assert reached.wait(300)
        while len(parts(tmp_path)) < 2:  # what is answered is committed beside the next requests
            time.sleep(0.05)
        process.kill()
        process.join(300)
        assert process.exitcode == -signal.SIGKILL
        committed = parts(tmp_path)
        assert len(committed) == 2
        assert not (tmp_path / "out" / "_SUCCESS").exists()

        assert main(arguments(tmp_path, server)) == 0
        sent = Counter(server.documents)

    assert {text: sent[text] for text in texts[0] + texts[1]} == dict.fromkeys(texts[0] + texts[1], 1)
    # Its shard was in hand: what had been sent of it is sent again.
    assert sent["0.37"] == 2
    assert {sent[text] for text in texts[2]} <= {1, 2}
    assert {text: sent[text] for text in texts[3]} == dict.fromkeys(texts[3], 1)
    assert {name: content for name, content in parts(tmp_path).items() if name in committed} == committed
    assert rows(tmp_path, "scored", "query_id", "doc_id", "rank") == [
        (f"q{query}", f"d{place}", 7 - place) for query in range(4) for place in range(6, -1, -1)
    ]


def test_nothing_more_is_paid_for_when_the_output_has_gone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    texts = [[f"0.{query}"] for query in range(10, 30)]
    write_input(tmp_path / "in.parquet", texts)

    def move(exchange: Exchange) -> None:
        if exchange.received.documents == ["0.12"]:
            while len(parts(tmp_path)) < 2:
                time.sleep(0.01)
            (tmp_path / "out").rename(tmp_path / "away")
        answer(exchange)

    with RerankServer(habit=move) as server:
        assert main(arguments(tmp_path, server)) == 2
        assert not (tmp_path / "out").exists()
        [line] = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
        assert line.endswith(
            "out was moved or deleted while the job ran; delete what was written there since, move it "
            "back, and give the same command"
        )
        assert len(server.documents) < len(texts) // 2
        (tmp_path / "away").rename(tmp_path / "out")
        server.habit = answer
        done = {text for query in range(len(parts(tmp_path))) for text in texts[query]}
        assert main(arguments(tmp_path, server)) == 0
    assert {Counter(server.documents)[text] for text in done} == {1}
    assert len(parts(tmp_path)) == len(texts)


def test_the_same_answers_give_the_same_bytes_whatever_went_wrong(tmp_path: Path) -> None:
    write_input(tmp_path / "in.parquet", [["0.5", "0.25"], ["1", "0"]])
    with RerankServer() as server:
        assert main(arguments(tmp_path, server)) == 0
        calm = parts(tmp_path)
        server.script = [answer, status(500), answer, status(429, Retry_After="0")]
        assert main(arguments(tmp_path, server, "--overwrite")) == 0, "the first answer is to the check of the key"
        assert server.documents == ["0.5", "0.25", "1", "0", *["0.5", "0.25"] * 2, *["1", "0"] * 2]
    assert len(calm) == 2
    assert parts(tmp_path) == calm
    assert rows(tmp_path, "scored", "query_id", "doc_id", "score", "tokens", "windows") == [
        ("q0", "d0", 0.5, None, None),
        ("q0", "d1", 0.25, None, None),
        ("q1", "d0", 1.0, None, None),
        ("q1", "d1", 0.0, None, None),
    ]


def test_a_refused_key_shows_before_anything_is_overwritten(tmp_path: Path) -> None:
    write_input(tmp_path / "in.parquet", [["0.5"], ["0.25"]])
    with RerankServer() as server:
        assert main(arguments(tmp_path, server)) == 0
        before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
        server.habit = status(401, "this key was withdrawn")
        received = len(server.received)
        assert main(arguments(tmp_path, server, "--overwrite")) == 2
        assert len(server.received) == received + 1
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_a_document_that_is_refused_is_a_rejected_row(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_input(tmp_path / "in.parquet", [["0.5", "", "0.25"]])
    with RerankServer(habit=unless(lambda documents: "" in documents, status(400, f"empty text; {KEY}"))) as server:
        assert main(arguments(tmp_path, server)) == 0
    assert rows(tmp_path, "scored", "doc_id", "rank", "score") == [("d0", 1, 0.5), ("d2", 2, 0.25)]
    assert rows(tmp_path, "rejected", "query_id", "doc_id", "reason", "detail") == [
        ("q0", "d1", "endpoint_error", "HTTP 400: empty text; [key]")
    ]
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert tmp_path / "out" / "job.json" in written
    assert [path.name for path in written if KEY.encode() in path.read_bytes()] == []
    assert KEY not in "".join(capfd.readouterr())


def test_a_key_that_is_refused_ends_the_job_and_rejects_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_input(tmp_path / "in.parquet", [["0.5"], ["0.25"]])
    with RerankServer(script=[answer], habit=status(401, f"bad key {KEY}")) as server:
        assert main(arguments(tmp_path, server)) == 2
        output = "".join(capfd.readouterr())
        assert f"endpoint {server.address}: set RERANK_API_KEY to a key that it accepts" in output
        assert KEY not in output
        assert rows(tmp_path, "scored", "score") == [(0.5,)]
        assert rows(tmp_path, "rejected", "reason") == []
        server.habit = answer
        assert main(arguments(tmp_path, server)) == 0
        assert server.documents == ["0.5", "0.25", "0.25"]
    assert rows(tmp_path, "scored", "score") == [(0.5,), (0.25,)]


def test_an_endpoint_that_is_down_ends_the_job_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_input(tmp_path / "in.parquet", [["0.5"], ["0.25"]])
    with RerankServer(script=[answer], habit=status(429, "quota", Retry_After="7200")) as server:
        assert main(arguments(tmp_path, server)) == 1
        [line] = [line for line in capfd.readouterr().err.splitlines() if "error" in line.lower()]
        assert line.startswith(f"error: endpoint {server.address} gave no scores for ")
        assert line.endswith(" s (HTTP 429: quota); the same command continues when it is back")
        server.habit = answer
        assert main(arguments(tmp_path, server)) == 0
    assert rows(tmp_path, "scored", "score") == [(0.5,), (0.25,)]


def test_a_count_of_tokens_beyond_belief_is_none(tmp_path: Path) -> None:
    """Beam's counters, which hold 64 bits, would end the job."""
    write_input(tmp_path / "in.parquet", [["0.5"], ["0.25"], ["0.75"]])
    said = iter([10**30, 1 << 63, 7])

    def count(exchange: Exchange) -> None:
        exchange.send(
            200, json.dumps({"results": results_of(exchange.received), "usage": {"total_tokens": next(said)}})
        )

    with RerankServer(habit=count) as server:
        assert main(arguments(tmp_path, server)) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["endpoint"] == {"requests": 3, "tokens": 7}
