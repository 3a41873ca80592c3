from __future__ import annotations

import pytest

from tests.support.stub_endpoint import KEY
from transforms.scoring.hosted import endpoint


@pytest.fixture
def keyed_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of the user's, and no waiting for long."""
    monkeypatch.setenv("RERANK_API_KEY", KEY)
    monkeypatch.setattr(endpoint, "FIRST_PAUSE", 0.01)
