from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny cross-encoder, which no test changes."""
    return tiny.bert(tmp_path_factory.mktemp("bert"))
