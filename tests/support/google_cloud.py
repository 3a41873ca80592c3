"""Google's storage and Dataflow on loopback: as much of their HTTP as the clients of Beam use, kept in memory."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from email.parser import BytesParser
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import google_crc32c
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.loopback import QuietHandler, served

PROJECT, REGION, JOB_ID = "some-project", "europe-west4", "2026-01-01_00_00_00-1"
_OBJECT = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)")
_COPY = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/(?:copyTo|rewriteTo)/b/([^/]+)/o/([^/]+)")
_JOBS = re.compile(rf"/v1b3/projects/{PROJECT}/locations/{REGION}/jobs(?:/{JOB_ID}(/messages|/metrics)?)?")


class StubReply(NamedTuple):
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def as_json(value: Any, status: int = 200) -> StubReply:
    return StubReply(status, json.dumps(value).encode(), (("Content-Type", "application/json"),))


class GoogleCloud(ThreadingHTTPServer):
    """Both services at one address.

    Attributes:
        objects: by "bucket/name".
        jobs: what was submitted, in turn.
        do_job: does a submitted job, and gives the state that it is in from then on.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.jobs: list[dict[str, Any]] = []
        self.do_job: Callable[[dict[str, Any]], str] = lambda job: "JOB_STATE_DONE"
        self._state = "JOB_STATE_PENDING"
        self._uploads: dict[str, tuple[str, bytes]] = {}

    @property
    def address(self) -> str:
        return f"http://localhost:{self.server_port}"

    def environment(self, folder: Path) -> dict[str, str]:
        """Variables with which the clients find it, and the key of an account, which lies in the folder."""
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        account = {
            "type": "service_account",
            "project_id": PROJECT,
            "client_email": f"somebody@{PROJECT}.example",
            "private_key": pem,
            "token_uri": f"{self.address}/token",
        }
        (folder / "account.json").write_text(json.dumps(account), encoding="utf-8")
        return {
            "STORAGE_EMULATOR_HOST": self.address,
            "NO_GCE_CHECK": "true",
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "account.json"),
            "no_proxy": "*",
        }

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> StubReply:
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if match := _JOBS.fullmatch(url.path):
            return self._dataflow(method, match[1], body)
        if url.path == "/token":
            return as_json({"access_token": "some-token", "expires_in": 3600, "token_type": "Bearer"})
        if url.path == "/batch/storage/v1":
            return self._batch(headers, body)
        if url.path.startswith("/upload/"):
            return self._upload(method, url.path, query, headers, body)
        if match := _COPY.fullmatch(url.path):
            source, copy = (f"{match[i]}/{unquote(match[i + 1])}" for i in (1, 3))
            if source not in self.objects:
                return as_json({"error": {"code": 404}}, 404)
            self.objects[copy] = self.objects[source]
            return as_json(self._metadata(copy))
        if match := _OBJECT.fullmatch(url.path):
            return self._object(method, f"{match[1]}/{unquote(match[2])}", query, headers)
        bucket, _, listing = url.path.removeprefix("/storage/v1/b/").partition("/")
        if not listing:
            return as_json(
                {"kind": "storage#bucket", "name": bucket, "softDeletePolicy": {"retentionDurationSeconds": "0"}}
            )
        prefix = f"{bucket}/{query.get('prefix', '')}"
        return as_json({"items": [self._metadata(name) for name in sorted(self.objects) if name.startswith(prefix)]})

    def _metadata(self, path: str) -> dict[str, str]:
        bucket, _, name = path.partition("/")
        content = self.objects[path]
        checksum = base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
        updated = "2026-01-01T00:00:00.000Z"
        size = str(len(content))
        return {"bucket": bucket, "name": name, "size": size, "crc32c": checksum, "updated": updated, "generation": "1"}

    def _object(self, method: str, path: str, query: dict[str, str], headers: Any) -> StubReply:
        if path not in self.objects:
            return as_json({"error": {"code": 404, "message": f"no such object: {path}"}}, 404)
        if method == "DELETE":
            del self.objects[path]
            return StubReply(204)
        if query.get("alt") != "media":
            return as_json(self._metadata(path))
        content = self.objects[path]
        range_ = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("Range") or "bytes=0-")
        assert range_ is not None
        first, last = int(range_[1]), min(int(range_[2] or len(content)), len(content) - 1)
        if first > last:
            return StubReply(416)
        part = content[first : last + 1]
        return StubReply(206, part, (("Content-Range", f"bytes {first}-{last}/{len(content)}"),))

    def _upload(self, method: str, path: str, query: dict[str, str], headers: Any, body: bytes) -> StubReply:
        if method == "POST":
            assert query["uploadType"] == "resumable"
            bucket = path.split("/")[5]
            name = query.get("name") or json.loads(body)["name"]
            key = str(len(self._uploads))
            self._uploads[key] = (f"{bucket}/{name}", b"")
            return StubReply(200, b"", (("Location", f"{self.address}{path}?uploadType=resumable&upload_id={key}"),))
        key = query["upload_id"]
        target, before = self._uploads[key]
        content = before + body
        self._uploads[key] = (target, content)
        if headers["Content-Range"].endswith("/*"):
            return StubReply(308, b"", (("Range", f"bytes=0-{len(content) - 1}"),))
        self.objects[target] = content
        return as_json(self._metadata(target))

    def _batch(self, headers: Any, body: bytes) -> StubReply:
        message = BytesParser().parsebytes(b"Content-Type: " + headers["Content-Type"].encode() + b"\r\n\r\n" + body)
        answers = []
        for part in message.walk():
            if part.is_multipart():
                continue
            request = part.get_payload(decode=True)
            assert isinstance(request, bytes)
            method, target, *_ = request.split(None, 2)
            reply = self.answer(method.decode(), target.decode(), {}, b"")
            answers.append(
                f"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {reply.status} Reply\r\n"
                f"Content-Type: application/json\r\n\r\n{reply.body.decode()}\r\n"
            )
        return StubReply(200, "".join([*answers, "--b--"]).encode(), (("Content-Type", "multipart/mixed; boundary=b"),))

    def _dataflow(self, method: str, what: str | None, body: bytes) -> StubReply:
        if method == "POST":
            job = json.loads(body)
            self.jobs.append(job)
            self._state = self.do_job(job)
        if what == "/messages":
            return as_json({})
        if what == "/metrics":
            return as_json({"metrics": []})
        return as_json({"id": JOB_ID, "projectId": PROJECT, "location": REGION, "currentState": self._state})


class _Handler(QuietHandler):
    protocol_version = "HTTP/1.1"
    server: GoogleCloud

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        reply = self.server.answer(self.command, self.path, self.headers, body)
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    # By these names http.server finds what answers a method of HTTP.
    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815


def google_cloud() -> AbstractContextManager[GoogleCloud]:
    """The services, while the body runs."""
    return served(GoogleCloud())
