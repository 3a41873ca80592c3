"""Files that evaluation writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from eval.ranking.files import write_json

WRITE = "from pathlib import Path; from eval.ranking.files import write_json; write_json(Path('/dev/stdout'), 1)"


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    path.chmod(0o600)
    write_json(path, 1)
    assert path.read_text() == "1\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_that_standard_output_goes_to_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as log:
        subprocess.run([sys.executable, "-c", WRITE], stdout=log, check=True)
        assert path.stat().st_ino == Path(f"/proc/self/fd/{log.fileno()}").stat().st_ino
    assert path.read_text() == "1\n"
