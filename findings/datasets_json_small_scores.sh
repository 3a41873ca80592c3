#!/usr/bin/env bash
# What: to_json writes a score of 3e-11 as 0.0 and the smaller one 4e-16 as it is, so that their order is the other way
#   round in the file.
# Versions: datasets 5.2.0 with pandas 3.1.1 and pyarrow 25.0.1.
# Why it surprises: to_parquet, to_csv and Python's json keep each of them, and rounding alone makes ties, it does not
#   change an order. to_json goes through pandas, which rounds to 10 places what is 1e-15 or more and writes out what is
#   less. Known of pandas, as pandas-dev/pandas#23328; of datasets nothing was found upstream.
# Who it touches: probabilities of rerankers that are sure, where most candidates of a query lie below 1e-10. With
#   to_json(path, double_precision=15) the order stays.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check datasets==5.2.0 pandas==3.1.1 pyarrow==25.0.1
cd "$work"
HF_HUB_OFFLINE=1 HF_HOME="$work/home" HF_DATASETS_DISABLE_PROGRESS_BARS=1 "$work/venv/bin/python" - <<'PY'
import csv
import json
import sys
from pathlib import Path

import datasets
import pandas as pd
import pyarrow.parquet as pq

table = datasets.Dataset.from_dict({"id": ["a", "b", "c", "d"], "score": [0.5, 3e-11, 2e-12, 4e-16]})
table.to_json("scores.jsonl")
table.to_json("precise.jsonl", double_precision=15)
table.to_csv("scores.csv")
table.to_parquet("scores.parquet")


def lines(path: str) -> list[dict]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


with open("scores.csv", newline="") as file:
    comma_separated = [{"id": row["id"], "score": float(row["score"])} for row in csv.DictReader(file)]
files = {
    "to_json": lines("scores.jsonl"),
    "to_json, double_precision=15": lines("precise.jsonl"),
    "to_csv": comma_separated,
    "to_parquet": pq.read_table("scores.parquet").to_pylist(),
}
print("datasets", datasets.__version__, "pandas", pd.__version__)
seen = {}
for name, rows in files.items():
    ranked = sorted(rows, key=lambda row: -row["score"])
    seen[name] = "".join(row["id"] for row in ranked)
    print(f"{name}: expected the order abcd, seen {seen[name]}: {[row['score'] for row in ranked]}")
sys.exit(0 if list(seen.values()) == ["adbc", "abcd", "abcd", "abcd"] else 1)
PY
