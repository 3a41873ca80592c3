"""What the tests of families share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny_listwise


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_listwise.checkpoint(tmp_path_factory.mktemp("tiny") / "listwise")
