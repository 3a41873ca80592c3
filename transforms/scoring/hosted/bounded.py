"""A POST whose answer is bounded in size and in time, whatever the server sends.

Requests run on one event loop for the process, in a thread of its own: there a request can be ended at any point, also
while headers come in a byte at a time, which time-outs of single reads cannot do.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import io
import threading
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from transforms.scoring.hosted.key import is_loopback

# A result takes some 60 bytes, and an API that repeats the texts repeats those of a shard, 64 MiB, at most.
MOST_BYTES = 64 << 20
# One time-out to send the texts, one for the server to compute, one to receive what it says.
MOST_TIMEOUTS = 3


class BoundError(Exception):
    """An answer that is too large, takes too long or cannot be expanded; the message says which."""


class Response(NamedTuple):
    """An answer, whole and expanded."""

    status: int
    headers: httpx.Headers
    content: bytes


class Sender:
    """Sends requests to one address; safe to share between threads."""

    def __init__(
        self, url: str, headers: Mapping[str, str], *, timeout: float, connect_timeout: float, connections: int
    ) -> None:
        """Nothing is sent; for the arguments see `client.Client`."""
        limits = httpx.Limits(max_connections=connections)
        self._url = url
        self._loop = _loop()
        self.http = httpx.AsyncClient(
            headers={**headers, "Accept-Encoding": "gzip"},
            timeout=httpx.Timeout(timeout, connect=connect_timeout, pool=None),
            limits=limits,
            # A transport that is given is used as it is, without the proxies that the environment names.
            transport=httpx.AsyncHTTPTransport(limits=limits) if is_loopback(httpx.URL(url).host) else None,
            follow_redirects=False,
        )

    def post(self, body: Any) -> Response:
        """The answer to a request with this JSON.

        Raises:
            BoundError: it is out of bounds.
            httpx.RequestError: there is none.
        """
        status, headers, raw = asyncio.run_coroutine_threadsafe(self._post(body), self._loop).result()
        return Response(status, headers, expanded(raw, headers.get("Content-Encoding", "identity")))

    async def _post(self, body: Any) -> Response:
        whole = MOST_TIMEOUTS * (self.http.timeout.read or 0)
        raw = bytearray()
        try:
            async with asyncio.timeout(whole), self.http.stream("POST", self._url, json=body) as response:
                async for piece in response.aiter_raw():
                    raw += piece
                    _check_size(raw)
        except TimeoutError:
            raise BoundError(f"no whole answer in {whole:g} s") from None
        return Response(response.status_code, response.headers, bytes(raw))


def expanded(raw: bytes, encoding: str) -> bytes:
    """What was compressed, of at most MOST_BYTES.

    Raises:
        BoundError: it is larger, or compressed in a way that was not asked for.
    """
    if encoding.strip().lower() == "identity":
        return raw
    if encoding.strip().lower() not in ("gzip", "x-gzip"):
        raise BoundError(f"the answer is compressed as {encoding}; only gzip was asked for")
    try:
        content = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(MOST_BYTES + 1)  # of all members of the stream
    except (OSError, EOFError, zlib.error):
        raise BoundError("the answer is said to be gzip and is not") from None
    _check_size(content)
    return content


def _check_size(content: bytes | bytearray) -> None:
    if len(content) > MOST_BYTES:
        raise BoundError(f"the answer is larger than {MOST_BYTES >> 20} MiB")


@functools.cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="endpoint-requests", daemon=True).start()
    return loop
