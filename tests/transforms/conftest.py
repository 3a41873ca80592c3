from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.object_store import ObjectStore


@pytest.fixture(params=["local", "object store"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place: a directory whose name has a glob's characters, or a prefix of an object store."""
    if request.param == "object store":
        ObjectStore.objects.clear()
        return "mem://bucket/data"
    directory = tmp_path / "set [1]"
    directory.mkdir()
    return str(directory)
