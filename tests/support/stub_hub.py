"""A Hugging Face hub on loopback: real sockets, the hub's paths and headers, and faults on demand."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.support.loopback import QuietHandler, served

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Fault(NamedTuple):
    """What is answered instead, to requests whose path matches; the first that matches counts."""

    path: str  # a regular expression
    status: int
    headers: dict[str, str]


@dataclass
class Hub:
    """One hub, of models and data sets alike; every repository's main branch is at COMMIT.

    Attributes:
        files: repository -> file -> content.
        faults: what goes wrong.
        cuts: regular expression of a path -> bytes after which the connection is cut, each time.
        requests: method and path of each request, in order.
        endpoint: its address.
    """

    files: dict[str, dict[str, bytes]]
    faults: list[Fault] = field(default_factory=list)
    cuts: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    endpoint: str = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        for fault in self.faults:
            if re.search(fault.path, path):
                return fault.status, fault.headers, b""
        if match := re.fullmatch("/api/(?:models|datasets)/([^/]+/[^/]+)/(revision|tree)/([^/]+)(?:/(.+))?", path):
            repository, kind, revision, folder = match.groups()
            if repository not in self.files:
                return 404, {"X-Error-Code": "RepoNotFound"}, b""
            if revision not in {"main", COMMIT}:
                return 404, {"X-Error-Code": "RevisionNotFound"}, b""
            listing = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in self.files[repository].items()
                if name.startswith(f"{folder}/" if folder else "")
            ]
            if folder and not listing:
                return 404, {"X-Error-Code": "EntryNotFound"}, b""
            info = {"id": repository, "sha": COMMIT}
            return 200, {"Content-Type": "application/json"}, json.dumps(listing if kind == "tree" else info).encode()
        if match := re.fullmatch(f"(?:/datasets)?/([^/]+/[^/]+)/resolve/{COMMIT}/(.+)", path):
            content = self.files.get(match[1], {}).get(match[2])
            if content is None:
                return 404, {"X-Error-Code": "EntryNotFound"}, b""
            return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}, content
        return 404, {}, b""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve on a free port, written to `hub.endpoint`, until the block ends."""

    class Handler(QuietHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            path = urlsplit(self.path).path
            hub.requests.append(f"{self.command} {path}")
            status, headers, body = hub.answer(path)
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            cut = next((after for pattern, after in hub.cuts.items() if re.search(pattern, path)), None)
            self.wfile.write(body[:cut])
            self.close_connection = cut is not None

        # By these names http.server finds what answers a method of HTTP.
        do_GET = do_HEAD = _serve  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    with served(server):
        yield hub
