"""The temporary database: what is said where its disk is full."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from transforms.base.database import temporary_database
from transforms.base.errors import UnavailableError


def test_a_full_disk_is_one_line_that_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(UnavailableError) as caught, temporary_database("32MB") as database:
        database.execute(
            "SET max_temp_directory_size = '1MB';"
            " CREATE TABLE t AS SELECT range || repeat('x', 40) AS s FROM range(2000000) ORDER BY s"
        )
    line = str(caught.value)
    assert line.startswith(f"temporary files in {tmp_path} cannot be written or read (Out of Memory Error: ")
    assert line.endswith("); make room there, or set TMPDIR to a folder with more")
    assert "\n" not in line
    assert list(tmp_path.iterdir()) == []
