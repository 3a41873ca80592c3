#!/usr/bin/env bash
# What: read_json and read_csv round the scores of a file whose first 20,480 rows hold whole numbers: 0.75 becomes 1.
# Version: duckdb 2.0.1.
# Why it surprises: nothing is raised or noted. A text in the same place is an error that names the line, and JSON calls
#   both 1 and 0.75 numbers. With sample_size=-1 it stays 0.75.
# Who it touches: judgements and scores in files that begin with 0 and 1, candidates' nested scores too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check duckdb==2.0.1
cd "$work"
"$work/venv/bin/python" - <<'PY'
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

ROWS = 25_000


def last(query: str) -> Any:
    """The last score, or the name of the error."""
    try:
        return duckdb.sql(query).fetchall()[-1][0]
    except duckdb.Error as error:
        return type(error).__name__


def lines(name: str, row: Callable[[Any], str], end: Any) -> None:
    Path(name).write_text("".join(row(score) + "\n" for score in [0, 1] * (ROWS // 2) + [end]))


lines("scores.jsonl", lambda score: json.dumps({"score": score}), 0.75)
lines("nested.jsonl", lambda score: json.dumps({"documents": [{"id": "d1", "score": score}]}), 0.75)
lines("texts.jsonl", lambda score: json.dumps({"score": score}), "high")
lines("scores.csv", lambda score: f"q1,{score}", 0.75)
seen = {
    "JSON": last("SELECT score FROM read_json('scores.jsonl')"),
    "JSON, nested": last("SELECT documents[1].score FROM read_json('nested.jsonl')"),
    "JSON, sample_size=-1": last("SELECT score FROM read_json('scores.jsonl', sample_size=-1)"),
    "JSON, a text": last("SELECT score FROM read_json('texts.jsonl')"),
    "CSV": last("SELECT column1 FROM read_csv('scores.csv', header=false)"),
}
print("duckdb", duckdb.__version__)
print(f"{ROWS:,} scores of 0 and 1, then one of 0.75: expected 0.75 or an error, seen")
for name, found in seen.items():
    print(f"  {name}: {found}")
quiet = seen["JSON"] == seen["JSON, nested"] == seen["CSV"] == 1
sys.exit(0 if quiet and seen["JSON, sample_size=-1"] == 0.75 and isinstance(seen["JSON, a text"], str) else 1)
PY
