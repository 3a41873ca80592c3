"""Temporary folders: whose are removed when."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from transforms.base.errors import UserError
from transforms.base.temporary import remove_all, temporary_folder

ROOT = Path(__file__).resolve().parents[3]
HOLDS_ONE = """
import sys, tempfile
from transforms.base.temporary import temporary_folder
tempfile.tempdir = sys.argv[1]
with temporary_folder() as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def names(folder: Path) -> set[str]:
    return {str(path) for path in folder.iterdir()}


def test_the_folder_of_a_dead_process_is_removed_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS_ONE, str(tmp_path)]
    with (
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as killed,
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as living,
    ):
        assert killed.stdout
        assert living.stdout
        dead, alive = killed.stdout.readline().strip(), living.stdout.readline().strip()
        killed.kill()
        killed.wait()
        assert names(tmp_path) == {dead, alive}
        with temporary_folder() as mine, temporary_folder() as second:
            assert names(tmp_path) == {alive, mine, second}
    assert names(tmp_path) == set()


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    """One of a user who named it so, a link to one that a dead process left elsewhere, and a file."""
    (tmp_path / "offline-rerank-models").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "process.lock").touch()
    (tmp_path / "offline-rerank-link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "offline-rerank-notes.txt").touch()
    before = names(tmp_path)
    with temporary_folder():
        pass
    assert names(tmp_path) == before
    assert (tmp_path / "elsewhere" / "process.lock").exists()


def test_all_of_this_process_go_at_once(tmp_path: Path) -> None:
    with temporary_folder(), temporary_folder():
        remove_all()
        assert names(tmp_path) == set()


def test_a_place_for_temporary_files_that_is_gone_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"^no folder for temporary files can be made \(.*\); set TMPDIR to one$"):
        temporary_folder().__enter__()
