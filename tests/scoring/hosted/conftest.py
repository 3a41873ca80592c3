"""What the tests of endpoints share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.stub_endpoint import (
    RerankServer,
    Step,
)
from transforms.scoring.hosted import endpoint


@pytest.fixture
def quick_and_unkeyed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No waiting for long, and no key of the user's."""
    monkeypatch.delenv("RERANK_API_KEY", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # to read all certificates takes longer than a test
    monkeypatch.setattr(endpoint, "FIRST_PAUSE", 0.01)


@pytest.fixture
def serve() -> Iterator[Callable[..., RerankServer]]:
    """`serve(*script, habit=...)` starts a server that runs until the test ends."""
    servers: list[RerankServer] = []

    def start(*script: Step, habit: Step | None = None) -> RerankServer:
        servers.append(RerankServer(script, habit).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)
