"""The service: an ASGI application, and the process that runs it.

    python -m pipelines.serve --model MODEL --port 8080

The model is loaded before the port is opened. A request is counted in hand from its first byte to its answer, so that
what waits is bounded by requests and by their size, whatever clients send.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from pipelines.running.model import specify_here
from pipelines.serve.batching import Batches
from pipelines.serve.dialect import RefusedError, answer, read
from pipelines.serve.metrics import Metrics
from pipelines.serve.request import ServeRequest
from transforms.base.errors import UserError, one_line
from transforms.base.words import number_of
from transforms.scoring.scorer import Scorer

PATHS = ("/rerank", "/v1/rerank", "/v2/rerank")
SECONDS_TO_SEND = 60.0  # that a client has for its request, so that slow ones do not fill the service
LONGEST_WAIT = 60  # seconds that a client is asked to wait, at most
# Characters of a batch for each token of a forward pass: some four passes at four characters a token of English.
CHARACTERS = 16


def error_of(status: int, message: str) -> dict[str, Any]:
    """The body of an answer that is not the one asked for."""
    return {"error": {"message": message, "code": status}}


async def not_a_request(request: Request, error: Exception) -> Response:
    """The answer to another path (404) or method (405) than the service has."""
    assert isinstance(error, HTTPException)
    message = f"{request.url.path}: POST to {', '.join(PATHS)}; GET /health or /metrics"
    body = json.dumps(error_of(error.status_code, message))
    return Response(body, error.status_code, error.headers, "application/json")


class Limits(NamedTuple):
    """What a service takes on; see the options of these names."""

    max_requests: int
    max_documents: int
    max_body_bytes: int


class Service:
    """A scorer behind HTTP; `application` is what an ASGI server runs."""

    def __init__(self, scorer: Scorer, model: str, limits: Limits, batch_characters: int) -> None:
        self._scorer, self._model, self._limits = scorer, model, limits
        self._metrics = Metrics()
        self._batches = Batches(scorer.score_tasks, batch_characters)
        self._in_hand = 0
        self.application = Starlette(
            routes=[
                *(Route(path, self.rerank, methods=["POST"]) for path in PATHS),
                Route("/health", self.health),
                Route("/metrics", self.metrics),
            ],
            exception_handlers={HTTPException: not_a_request},
            lifespan=self._scoring,
        )
        self.application.router.redirect_slashes = False  # a client of the API knows no answer but its own

    @asynccontextmanager
    async def _scoring(self, application: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(self._batches.run())
        yield
        running.cancel()

    async def rerank(self, request: Request) -> Response:
        """Scores of a request's documents, or why there are none."""
        begin = time.perf_counter()
        headers = {}
        self._in_hand += 1
        self._metrics.in_hand.set(self._in_hand)
        try:
            full = self._in_hand > self._limits.max_requests
            body = await self._body(request, keep=not full)
            if full:
                seconds = min(max(1, math.ceil(self._batches.seconds_to_wait())), LONGEST_WAIT)
                headers = {"Retry-After": str(seconds)}
                most = number_of(self._limits.max_requests, "request is", "requests are")
                raise RefusedError(429, f"{most} in hand; send it again later")
            parsed = read(body, self._scorer, self._limits.max_documents)
            scores = await self._batches.score(parsed.task)
            content, status = answer(parsed, scores, self._model), 200
            self._metrics.count(len(parsed.task.documents), content["usage"]["total_tokens"])
        except RefusedError as refusal:
            content, status = error_of(refusal.status, one_line(refusal)), refusal.status
        except Exception:
            logging.getLogger(__name__).exception("a request failed")
            content, status = error_of(500, "the service failed on it; its log says why"), 500
        finally:
            self._in_hand -= 1
            self._metrics.in_hand.set(self._in_hand)
        self._metrics.answered(status, time.perf_counter() - begin)
        return Response(json.dumps(content), status, headers, "application/json")

    async def _body(self, request: Request, keep: bool) -> bytes:
        """A request's body; read to its end where it is not kept too, since a client listens when it has sent all.

        Raises:
            RefusedError: it is too large (413), compressed (415), or does not come in time (408).
        """
        most = self._limits.max_body_bytes
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise RefusedError(415, "the body is compressed; send it as it is")
        body, received = bytearray(), 0
        try:
            async with asyncio.timeout(SECONDS_TO_SEND):
                async for piece in request.stream():
                    received += len(piece)
                    body += piece if keep else b""
                    if received > most:
                        raise RefusedError(413, f"the body is larger than {most} bytes; send fewer documents")
        except TimeoutError:
            raise RefusedError(408, f"the body did not come in {SECONDS_TO_SEND:g} s") from None
        except ClientDisconnect:
            raise RefusedError(400, "the connection was closed before the body's end") from None
        return bytes(body)

    async def health(self, request: Request) -> Response:
        """That requests are taken, which are while this is answered at all."""
        return Response(json.dumps({"status": "ok", "model": self._model}), media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        """Figures in Prometheus' text format."""
        return Response(self._metrics.text(), media_type=self._metrics.media_type)


def run(request: ServeRequest) -> int:
    """Serve until a signal comes; returns the exit code.

    Raises:
        UserError: the model is unavailable or cannot run so, or the port is.
    """
    bound = _bound(request.host, request.port)
    scorer = specify_here(request).load()
    limits = Limits(request.max_requests, request.max_documents, request.max_body_bytes)
    service = Service(scorer, request.model, limits, CHARACTERS * scorer.batch_tokens)
    config = uvicorn.Config(service.application, log_config=None, access_log=False, server_header=False, lifespan="on")
    bound.listen(config.backlog)
    host, port = bound.getsockname()[:2]
    print(f"serving {request.model} on http://{host}:{port}/v1/rerank", file=sys.stderr, flush=True)
    try:
        uvicorn.Server(config).run([bound])
    except KeyboardInterrupt:  # raised once more by uvicorn, after what was in hand is answered
        print("stopped: what was in hand is answered", file=sys.stderr)
    return 0


def _bound(host: str, port: int) -> socket.socket:
    """A socket of that address, which does not listen yet."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        problem = one_line(error)
    else:
        return bound
    raise UserError(f"--host {host} --port {port}: cannot be listened on ({problem}); give others")
