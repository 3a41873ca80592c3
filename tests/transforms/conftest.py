from __future__ import annotations

from collections.abc import Iterator
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


@pytest.fixture(params=["local", "object store"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A job's output directory, not yet made."""
    ObjectStore.objects.clear()
    yield "mem://bucket/out" if request.param == "object store" else str(tmp_path / "out")
    ObjectStore.objects.clear()
