"""An export of a small job, and what the job was of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eval.__main__ import main

TEXTS = {"d1": "a b", "d2": "c d e", "d3": "f", "d4": "g h i", "d5": "k l"}
QUERIES = {"q1": "a", "q2": "c d", "q3": "z y x"}


def export(job: Path, to: Path, form: str, *options: str) -> Path:
    assert main(["export", str(job), "--to", str(to), "--format", form, *options]) == 0
    return to


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
