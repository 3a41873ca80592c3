"""A checkpoint, and one to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import tiny


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    return Path(shutil.copytree(original, tmp_path / "model"))
