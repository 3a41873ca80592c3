from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pipelines.running import progress_line
from pipelines.running.progress_line import line_of


def test_a_log_gets_whole_lines_and_no_carriage_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress_line, "SECONDS_IN_LOG", 0.05)
    (tmp_path / "1.json").write_text(json.dumps([30.0, 900]), encoding="utf-8")
    with progress_line.progress_line(str(tmp_path), 100, 20):
        time.sleep(0.3)
    written = capsys.readouterr().err
    assert "\r" not in written
    lines = written.splitlines()
    assert len(lines) >= 2
    assert all(line.startswith("50 of 100 pairs, ") and line.endswith(" left") for line in lines)


@pytest.mark.parametrize(
    ("total", "tokens", "unit", "expected"),
    [
        (10_000, 500_000, "pair", "2,500 of 10,000 pairs, 50.0 pairs/s, 25,000 tokens/s, 02:30 left"),
        (None, 500_000, "pair", "2,500 pairs, 50.0 pairs/s, 25,000 tokens/s"),
        (10_000, 0, "document", "2,500 of 10,000 documents, 50.0 documents/s, 02:30 left"),
    ],
)
def test_a_line_of_a_log(total: int | None, tokens: int, unit: str, expected: str) -> None:
    assert line_of(2_500, total, 1_000.0, tokens, 20.0, unit) == expected


def test_nothing_done_yet() -> None:
    assert line_of(0, 10, 0.0, 0, 30.0, "pair") == "0 of 10 pairs, 0.0 pairs/s"
