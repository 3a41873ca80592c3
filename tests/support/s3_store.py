"""Amazon's S3 on loopback: as much of its HTTP as Beam's client uses, kept in memory."""

from __future__ import annotations

import hashlib
import re
from contextlib import AbstractContextManager
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.support.loopback import QuietHandler, served

Answer = tuple[int, bytes, dict[str, str]]
_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


class S3(ThreadingHTTPServer):
    """The service; `objects` are by "bucket/key"."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self._uploads: dict[str, dict[int, bytes]] = {}

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Answer:
        url = urlsplit(target)
        path = unquote(url.path).lstrip("/")
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if "list-type" in query:
            return self._list(path.rstrip("/"), query.get("prefix", ""))
        if "delete" in query:
            keys = re.findall(r"<Key>(.*?)</Key>", body.decode())
            for key in keys:
                self.objects.pop(f"{path.rstrip('/')}/{key}", None)
            return _xml("DeleteResult", "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys))
        if "uploads" in query:
            self._uploads[str(len(self._uploads))] = {}
            return _xml("InitiateMultipartUploadResult", f"<UploadId>{len(self._uploads) - 1}</UploadId>")
        if "uploadId" in query:
            parts = self._uploads[query["uploadId"]]
            if method == "PUT":
                parts[int(query["partNumber"])] = body
                return 200, b"", {"ETag": _etag(body)}
            self.objects[path] = b"".join(parts[number] for number in sorted(parts))
            return _xml("CompleteMultipartUploadResult", f"<ETag>{escape(_etag(self.objects[path]))}</ETag>")
        if method == "PUT":
            source = headers.get("x-amz-copy-source")
            self.objects[path] = self.objects[unquote(source).lstrip("/")] if source else body
            return _xml("CopyObjectResult", f"<ETag>{escape(_etag(self.objects[path]))}</ETag>")
        if method == "DELETE":
            self.objects.pop(path, None)
            return 204, b"", {}
        if path not in self.objects:
            return _xml("Error", "<Code>NoSuchKey</Code><Message>no such key</Message>", 404)
        return self._read(self.objects[path], headers.get("Range"))

    def _read(self, content: bytes, wanted: str | None) -> Answer:
        about = {"ETag": _etag(content), "Last-Modified": _DATE, "Content-Type": "application/octet-stream"}
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted or "")
        if match is None:
            return 200, content, about
        first, last = int(match[1]), min(int(match[2] or len(content)), len(content) - 1)
        return 206, content[first : last + 1], about | {"Content-Range": f"bytes {first}-{last}/{len(content)}"}

    def _list(self, bucket: str, prefix: str) -> Answer:
        names = [name for name in sorted(self.objects) if name.startswith(f"{bucket}/{prefix}")]
        entries = "".join(
            f"<Contents><Key>{escape(name.partition('/')[2])}</Key><LastModified>2026-01-01T00:00:00.000Z"
            f"</LastModified><ETag>{escape(_etag(self.objects[name]))}</ETag><Size>{len(self.objects[name])}</Size>"
            "</Contents>"
            for name in names
        )
        return _xml("ListBucketResult", f"<KeyCount>{len(names)}</KeyCount><IsTruncated>false</IsTruncated>{entries}")


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _xml(name: str, inner: str, status: int = 200) -> Answer:
    return status, f"<?xml version='1.0'?><{name}>{inner}</{name}>".encode(), {"Content-Type": "application/xml"}


class _Handler(QuietHandler):
    protocol_version = "HTTP/1.1"
    server: S3

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, content, headers = self.server.answer(self.command, self.path, self.headers, body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    # By these names http.server finds what answers a method of HTTP.
    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815


def s3() -> AbstractContextManager[S3]:
    """The service, while the body runs."""
    return served(S3())
