from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.support.object_store import ObjectStore
from transforms.retrieval import step_files

HOURS = 7200


def test_only_old_temporaries_of_a_shared_directory_go(tmp_path: Path) -> None:
    names = {".killed.tmp": HOURS, ".running.tmp": 0, "part.npy": HOURS, ".hidden": HOURS}
    for name, age in names.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    step_files.sweep_shared(str(tmp_path))
    step_files.sweep_shared(str(tmp_path / "nowhere"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", ".running.tmp", "part.npy"]


def test_a_shared_directory_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ObjectStore, "last_updated", lambda _, path: time.time() - HOURS * ("killed" in path))
    ObjectStore.objects.clear()
    ObjectStore.objects.update({f"mem://kept/{name}": b"" for name in (".killed.tmp", ".running.tmp", "part.npy")})
    step_files.sweep_shared("mem://kept")
    assert sorted(ObjectStore.objects) == ["mem://kept/.running.tmp", "mem://kept/part.npy"]
