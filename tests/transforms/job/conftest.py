from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.object_store import ObjectStore


@pytest.fixture(params=["local", "object store"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    ObjectStore.objects.clear()
    yield "mem://bucket/out" if request.param == "object store" else str(tmp_path / "out")
    ObjectStore.objects.clear()
