"""The service on loopback: asked by our own client and job, by many at once, and with what it refuses."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn

from pipelines.serve.batching import Batches
from pipelines.serve.service import Limits, Service
from tests.support import tiny_listwise
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import reasons, rerank, scores, write_letters
from transforms.scoring import RankingTask, Reranker, Scores
from transforms.scoring.reranker import specify

ROOT = Path(__file__).resolve().parents[3]
LIMITS = Limits(max_requests=128, max_documents=40, max_body_bytes=20_000)


@pytest.fixture(scope="module")
def reranker(model: Path) -> Reranker:
    return Reranker.load(str(model), device="cpu", dtype="float32")


@contextmanager
def served(scorer: Any, limits: Limits = LIMITS) -> Iterator[str]:
    """The address of a service that runs while the body does."""
    config = uvicorn.Config(Service(scorer, "m", limits, 4096).application, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def address(reranker: Reranker) -> Iterator[str]:
    with served(reranker) as address:
        yield address


def post(address: str, body: Any, path: str = "/v1/rerank", **more: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(address + path, content=content, timeout=300, trust_env=False, **more)


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_an_answer_is_that_of_the_api(address: str, reranker: Reranker, path: str) -> None:
    texts = ["b c", {"title": "d", "text": "e"}, {"text": "f"}]
    expected = reranker.score("a", ["b c", "d e", "f"])
    body = {"model": "any", "query": "a", "documents": texts, "top_n": 2, "return_documents": True, "max_chunks": 1}
    answer = post(address, body, path)
    content = answer.json()
    assert answer.status_code == 200
    assert content.keys() == {"id", "model", "results", "usage"}
    assert content["model"] == "m"
    best = np.argsort(expected)[::-1][:2].tolist()
    assert [result["index"] for result in content["results"]] == best
    assert [result["relevance_score"] for result in content["results"]] == [
        pytest.approx(expected[place], abs=1e-5) for place in best
    ]
    assert [result["document"] for result in content["results"]] == [
        {"text": ["b c", "d e", "f"][place]} for place in best
    ]
    assert content["usage"] == {"total_tokens": 3 * 4 + 2 + 2 + 1}
    assert post(address, {"query": "a", "documents": []}).json()["results"] == []


def test_our_client_gets_the_scores_of_the_model(address: str, reranker: Reranker) -> None:
    texts = ["b c", "d e f", "", "b c"]
    scorer = specify(f"{address}/v1/rerank", options={"endpoint_model": "m"}).load()
    assert scorer.score("a", texts) == pytest.approx(reranker.score("a", texts), abs=1e-5)


def test_a_job_gets_the_scores_of_the_model_and_rejects_what_has_none(
    tmp_path: Path, address: str, model: Path
) -> None:
    source = write_letters(tmp_path / "in.parquet", 4, 7)
    assert rerank(source, tmp_path / "here", model) == 0
    ends = ["--input", str(source), "--output", str(tmp_path / "there"), "--model", f"{address}/rerank"]
    from pipelines.rerank.__main__ import main

    assert main([*ends, "--endpoint_batch", "3", "--runner=FnApiRunner"]) == 0
    scored_here, served = scores(tmp_path / "here"), scores(tmp_path / "there")
    assert len(scored_here) == 28
    assert served == {pair: pytest.approx(score, abs=1e-5) for pair, score in scored_here.items()}

    long = "b " * 15_000  # more than the service takes of a request
    lists = nested_table([query("q", [candidate("good", "b"), candidate("long", long), candidate("fine", "c")])])
    odd = write(tmp_path / "odd.parquet", lists)
    assert main(["--input", odd, "--output", str(tmp_path / "odd"), *ends[4:], "--runner=FnApiRunner"]) == 0
    assert scores(tmp_path / "odd").keys() == {("q", "good"), ("q", "fine")}
    assert reasons(tmp_path / "odd") == [("q", "long", None, "endpoint_error")]


def test_fifty_clients_at_once_each_get_their_own_scores(address: str, reranker: Reranker) -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"

    def texts(number: int) -> list[str]:
        return [" ".join(letters[(number * place + step) % 26] for step in range(1 + place % 6)) for place in range(20)]

    requests = [(letters[number % 26] + " b" * (number % 3), texts(number)) for number in range(400)]
    expected = [reranker.score(query, listed) for query, listed in requests]
    begin = threading.Barrier(50)

    def ask(client: int) -> list[list[float]]:
        scorer = specify(f"{address}/v1/rerank").load()
        begin.wait()
        return [scorer.score(*requests[number]) for number in range(client, len(requests), 50)]

    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(ask, range(50)))
    for client, lists in enumerate(answers):
        for number, listed in zip(range(client, len(requests), 50), lists, strict=True):
            assert listed == pytest.approx(expected[number], abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"{", 400, "the body is not JSON (Expecting property name enclosed in double quotes: line 1"),
        ([], 422, "the body is a list; give an object with query and documents"),
        ({"documents": ["b"]}, 422, "query: missing; give a text as query and a list as documents"),
        ({"query": "a", "documents": "b"}, 422, "documents: a str; give a list of texts, also for one document"),
        ({"query": "a"}, 422, "documents: missing; give a text as query and a list as documents"),
        ({"query": "a", "documents": ["b", None]}, 422, "documents[1]: a NoneType in it; give a text, or"),
        ({"query": "a", "documents": ["b"] * 41}, 422, "documents: 41 of them; give 40 at most"),
        ({"query": "a", "documents": ["b"], "top_n": 0}, 422, "top_n: 0; give a positive whole number, or"),
        ({"query": "a", "documents": ["b"], "top_n": True}, 422, "top_n: True; give a positive whole number, or"),
        ({"query": "a", "documents": [{"title": "b"}]}, 422, "documents[0]: a NoneType in it; give a text, or a title"),
        ({"query": "a", "documents": [], "return_documents": 1}, 422, "return_documents: 1; give true or false"),
        (
            {"query": "a", "documents": ["b"], "instruction": "c"},
            422,
            "instruction: this model takes none; leave it out, or write it into the query",
        ),
        (b'{"query": "a", "documents": ["b", "\\ud800"]}', 422, "documents[1] has no score: tokenizer_error ("),
        (b" " * 20_001, 413, "the body is larger than 20000 bytes; send fewer documents"),
        (b" " * 5_000_000, 413, "the body is larger than 20000 bytes; send fewer documents"),
    ],
)
def test_what_is_refused_says_why(address: str, body: Any, status: int, message: str) -> None:
    answer = post(address, body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == status
    assert error["message"].startswith(message)


def test_an_instruction_goes_to_a_model_that_takes_one(tmp_path: Path) -> None:
    model = Reranker.load(str(tiny_listwise.checkpoint(tmp_path / "v3")), device="cpu", dtype="float32")
    with served(model) as address:
        [result] = post(address, {"query": "a", "documents": ["b"], "instruction": "c d"}).json()["results"]
    assert result["relevance_score"] == pytest.approx(model.score("a", ["b"], "c d")[0], abs=1e-5)


def test_other_ways_to_ask(address: str) -> None:
    ways = "POST to /rerank, /v1/rerank, /v2/rerank; GET /health or /metrics"
    for answer, status in (
        (post(address, {}, "/v1/score"), 404),
        (post(address, {}, "/v1/rerank/"), 404),
        (httpx.get(f"{address}/v1/rerank", trust_env=False), 405),
    ):
        assert answer.status_code == status
        assert answer.json() == {"error": {"message": f"{answer.url.path}: {ways}", "code": status}}
    assert post(address, b"", headers={"Content-Encoding": "gzip"}).status_code == 415


def request_of(*texts: str) -> bytes:
    """A whole request as it goes over a connection."""
    body = json.dumps({"query": "a", "documents": texts}).encode()
    return b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_requests_at_once_on_one_connection_are_answered_in_their_order(address: str) -> None:
    sent = request_of("b") + request_of("b").replace(b'"b"', b" 12") + request_of("b", "c", "d")
    with socket.create_connection(("127.0.0.1", httpx.URL(address).port or 0), timeout=300) as connection:
        connection.sendall(sent + b"GET /health HTTP/1.0\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"422", b"200", b"200"]
    assert [answer.count(b"relevance_score") for answer in received.split(b"HTTP/1.1 ")[1:]] == [1, 0, 3, 0]


def test_clients_that_leave_take_nothing_from_others(reranker: Reranker, caplog: pytest.LogCaptureFixture) -> None:
    whole = request_of("b", "c")
    with served(reranker) as address:
        for sent in (whole, whole[:-3], whole[:20]) * 5:
            with socket.create_connection(("127.0.0.1", httpx.URL(address).port or 0)) as connection:
                connection.sendall(sent)
        assert len(post(address, {"query": "a", "documents": ["b", "c"]}).json()["results"]) == 2
        while (counters := figures(address))["rerank_requests_in_hand"]:
            time.sleep(0.01)
    answered = {name: count for name, count in counters.items() if name.startswith("rerank_requests_total")}
    assert answered.keys() == {f'rerank_requests_total{{status="{status}"}}' for status in (200, 400)}
    assert sum(answered.values()) == 11  # all but those without a whole head
    assert caplog.records == []


class Held:
    """A scorer that waits until it is let go."""

    def __init__(self, scorer: Reranker) -> None:
        self.batches: list[int] = []
        self.gone = threading.Event()
        self._scorer = scorer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scorer, name)

    def score_tasks(self, tasks: Sequence[RankingTask]) -> Scores:
        self.batches.append(len(tasks))
        assert self.gone.wait(300)
        return self._scorer.score_tasks(tasks)


def figures(address: str) -> dict[str, float]:
    text = httpx.get(f"{address}/metrics", trust_env=False).text
    return {name: float(value) for name, value in re.findall(r"^(rerank\S+) (\S+)$", text, re.MULTILINE)}


def test_a_full_service_says_when_to_come_back_and_loses_nothing(reranker: Reranker) -> None:
    held = Held(reranker)
    body = {"query": "a", "documents": ["b", "c d"]}
    with served(held, LIMITS._replace(max_requests=3)) as address, ThreadPoolExecutor(3) as clients:
        waiting = [clients.submit(post, address, body) for _ in range(3)]
        while figures(address)["rerank_requests_in_hand"] < 3:
            time.sleep(0.01)
        refused = post(address, body)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert refused.json()["error"]["message"] == "3 requests are in hand; send it again later"
        assert httpx.get(f"{address}/health", trust_env=False).json() == {"status": "ok", "model": "m"}
        held.gone.set()
        answers = [answer.result().json()["results"] for answer in waiting]
        assert sum(held.batches) == 3
        counters = figures(address)
    assert [[result["index"] for result in results] for results in answers] == [
        [result["index"] for result in answers[0]]
    ] * 3
    assert counters['rerank_requests_total{status="200"}'] == 3
    assert counters['rerank_requests_total{status="429"}'] == 1
    assert counters["rerank_documents_total"] == 6
    assert counters["rerank_tokens_total"] == 3 * (2 * 4 + 1 + 2)
    assert counters["rerank_request_seconds_count"] == 4
    assert counters["rerank_requests_in_hand"] == 0


def test_what_waits_together_is_scored_together_and_a_fault_is_its_own() -> None:
    batches: list[list[str]] = []

    def score(tasks: Sequence[RankingTask]) -> Scores:
        batches.append([task.query for task in tasks])
        if "bad" in batches[-1]:
            raise ValueError("no")
        return Scores(np.array([float(text) for task in tasks for text in task.documents], dtype=np.float32))

    async def ask() -> list[Any]:
        made = Batches(score, most=4)
        tasks = [
            RankingTask(name, texts) for name, texts in {"a": ["1", "2"], "bad": ["3"], "c": ["4"], "d": ["5"]}.items()
        ]
        requests = [asyncio.create_task(made.score(task)) for task in tasks]
        await asyncio.sleep(0)
        running = asyncio.create_task(made.run())
        results = await asyncio.gather(*requests, return_exceptions=True)
        running.cancel()
        return results

    results = asyncio.run(ask())
    assert [part.score.tolist() if isinstance(part, Scores) else str(part) for part in results] == [
        [1, 2],
        "no",
        [4],
        [5],
    ]
    assert batches == [["a", "bad", "c"], ["a"], ["bad"], ["c"], ["d"]]


def test_a_signal_ends_it_when_what_is_in_hand_is_answered() -> None:
    command = [sys.executable, "-m", "pipelines.serve", "--model", "small-cross-encoder", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            match = re.fullmatch(r"serving small-cross-encoder on (http://127\.0\.0\.1:\d+)/v1/rerank\n", line)
            assert match
            with ThreadPoolExecutor(4) as clients:
                body = {"query": "a", "documents": ["word " * 300] * 8}
                requests = [clients.submit(post, match[1], body) for _ in range(4)]
                while figures(match[1])["rerank_requests_in_hand"] < 4:
                    time.sleep(0.01)
                process.send_signal(signal.SIGTERM)
                assert [len(answer.result().json()["results"]) for answer in requests] == [8] * 4
            assert process.wait(60) == 0
            assert process.stderr.read() == "stopped: what was in hand is answered\n"
        finally:
            process.kill()


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "pipelines.serve", "--model", "small-cross-encoder", "--port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    problem = "cannot be listened on ([Errno 98] Address already in use); give others"
    assert done.stderr == f"error: --host 127.0.0.1 --port {port}: {problem}\n"
