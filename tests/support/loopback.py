"""HTTP services on loopback, for as long as a test needs them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

Server = TypeVar("Server", bound=ThreadingHTTPServer)


class QuietHandler(BaseHTTPRequestHandler):
    """Answers requests without a line on stderr for each, and without waiting for more to send."""

    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(server: Server) -> Iterator[Server]:
    """The server, which answers while the body runs."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
