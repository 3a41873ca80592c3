"""A rerank API on loopback with real sockets, which can be made to misbehave.

A document's text is its score: "0.25" scores 0.25. What a request meets is the next step of `script`, and `habit` when
the script is over.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

Step = Callable[["Exchange"], None]
KEY = "sk-very-secret-0123456789"  # of a user of such an API


class Received(NamedTuple):
    """A request as it came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def documents(self) -> list[str]:
        [texts] = (self.body[name] for name in ("documents", "texts", "passages") if name in self.body)
        return [text["text"] if isinstance(text, dict) else text for text in texts]


class Exchange:
    """One request, and the ways to end it."""

    def __init__(self, server: RerankServer, handler: BaseHTTPRequestHandler, received: Received) -> None:
        self.server = server
        self.received = received
        self._handler = handler

    def send(
        self, status: int, text: str | bytes, headers: Iterable[tuple[str, str]] = (), length: int | None = None
    ) -> None:
        """Answer; a `length` beyond the text's is a promise that is not kept."""
        content = text.encode() if isinstance(text, str) else text
        self._handler.send_response(status)
        for name, value in headers:
            self._handler.send_header(name, value)
        self._handler.send_header("Content-Length", str(len(content) if length is None else length))
        self._handler.end_headers()
        self._handler.wfile.write(content)

    def drip(self, piece: bytes, seconds: float) -> None:
        """Send a piece again and again while the server runs, without an end."""
        with suppress(ConnectionError):  # the client may be gone
            while not self.server.closing.wait(seconds):
                self._handler.wfile.write(piece)
        self.cut()

    def cut(self) -> None:
        """End the connection; without an answer, if none was begun."""
        self._handler.close_connection = True


class RerankServer:
    """The API; a context in which it runs."""

    def __init__(self, script: Iterable[Step] = (), habit: Step | None = None) -> None:
        self.script = list(script)
        self.habit = habit or answer
        self.received: list[Received] = []
        self.closing = threading.Event()
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server._meet(self, Received(self.path, dict(self.headers.items()), body))

            def log_message(self, format: str, *args: Any) -> None:
                """Keep quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1/rerank"

    @property
    def documents(self) -> list[str]:
        """The documents of all requests so far, less the probes."""
        return [text for received in self.received for text in received.documents if text != "test"]

    def _meet(self, handler: BaseHTTPRequestHandler, received: Received) -> None:
        with self._lock:
            self.received.append(received)
            step = self.script.pop(0) if self.script else self.habit
        with suppress(ConnectionError):  # the client may be gone
            (cut if self.closing.is_set() else step)(Exchange(self, handler, received))

    def close(self) -> None:
        """Stop listening, and answer no more on connections that stand."""
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self.closing.is_set():
            self.close()


def results_of(received: Received) -> list[dict[str, Any]]:
    """A result for each document, in their order; the probe's scores 0."""
    scores = [0.0 if text == "test" else float(text or 0) for text in received.documents]
    return [{"index": index, "relevance_score": score} for index, score in enumerate(scores)]


def answer(exchange: Exchange) -> None:
    """As the common API should; ten tokens a document."""
    results = results_of(exchange.received)
    exchange.send(200, json.dumps({"results": results, "usage": {"total_tokens": 10 * len(results)}}))


def answer_with(change: Callable[[list[dict[str, Any]]], Any]) -> Step:
    """A step that answers with changed results."""
    return lambda exchange: exchange.send(200, json.dumps({"results": change(results_of(exchange.received))}))


def status(code: int, text: str | bytes = "", **headers: str) -> Step:
    """A step that answers with a status; underscores in the names of headers stand for hyphens."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return lambda exchange: exchange.send(code, text, named)


def say(text: str) -> Step:
    """A step that answers 200 with this text."""
    return status(200, text)


def hang(exchange: Exchange) -> None:
    """No answer while the server runs."""
    exchange.server.closing.wait()
    exchange.cut()


class Hold:
    """A habit: requests are answered when they are let go, so that a test knows what is in hand meanwhile."""

    def __init__(self) -> None:
        self._waiting = threading.Semaphore(0)
        self._gone = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        self._waiting.release()
        self._gone.wait()
        answer(exchange)

    def wait_for(self, requests: int) -> None:
        """Wait until so many requests wait."""
        for _ in range(requests):
            assert self._waiting.acquire(timeout=300)

    def let_go(self) -> None:
        self._gone.set()


def cut(exchange: Exchange) -> None:
    """The connection ends without an answer."""
    exchange.cut()


def cut_short(exchange: Exchange) -> None:
    """The connection ends amid the answer."""
    exchange.send(200, '{"results": [', length=1000)
    exchange.cut()


def unless(bad: Callable[[list[str]], bool], step: Step) -> Step:
    """A step for requests whose documents are bad; others are answered."""
    return lambda exchange: (step if bad(exchange.received.documents) else answer)(exchange)
