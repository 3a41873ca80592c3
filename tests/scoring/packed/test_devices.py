from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from transforms.scoring.packed import devices

# To import torch would take seconds, and claims nothing.
CLAIM = """
import runpy, sys, types
from pathlib import Path
sys.modules["torch"] = types.ModuleType("torch")
print(runpy.run_path(sys.argv[1])["claim"](["a", "b", "c"], Path(sys.argv[2])), flush=True)
sys.stdin.read()
"""


class Claimant:
    """A process that claims one of three devices and lives until it is killed."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-c", CLAIM, devices.__file__, str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout
        self.device = int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def claimants(tmp_path: Path) -> Iterator[list[Claimant]]:
    made = [Claimant(tmp_path) for _ in range(4)]
    yield made
    for claimant in made:
        claimant.kill()


def test_each_process_takes_the_next_free_device_and_then_they_share(claimants: list[Claimant], tmp_path: Path) -> None:
    assert [claimant.device for claimant in claimants] == [0, 1, 2, 0]
    claimants[1].kill()
    assert devices.claim(["a", "b", "c"], tmp_path) == 1  # what a dead process held is free
    assert devices.claim(["a", "b", "c"], tmp_path) == 1  # held once, as is the third; the first is held twice


@pytest.mark.parametrize(("device", "count", "own"), [("cpu", 4, "cpu"), ("cuda:2", 4, "cuda:2"), ("cuda", 1, "cuda")])
def test_what_needs_no_choice(monkeypatch: pytest.MonkeyPatch, device: str, count: int, own: str) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    assert devices.own(device) == own


def test_one_device_for_all_models_of_a_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Properties:
        def __init__(self, number: int) -> None:
            self.uuid = f"gpu-{number}"

    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_properties", Properties)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    devices._own_cuda.cache_clear()
    assert [devices.own("cuda"), devices.own("cuda")] == ["cuda:0", "cuda:0"]
    devices._own_cuda.cache_clear()
    assert devices.own("cuda") == "cuda:1"
    devices._own_cuda.cache_clear()
