#!/usr/bin/env bash
# What: one integer beyond 2**63 in a column of JSON lines turns all of them into doubles: different ids become equal.
# Versions: pyarrow 25.0.1 and 26.0.1; datasets 5.2.0, even where its features declare uint64.
# Why it surprises: uint64 holds every one of them, DuckDB and Polars read them as they are, and a text among numbers is
#   an error, not a conversion. Small ids of the column change with it: 2**53 + 1 comes back as 2**53.
# Who it touches: ids that are 64-bit hashes, half of which are that large. pyarrow with an explicit_schema of uint64
#   reads them right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
pip() { "$work/venv/bin/pip" install -q --disable-pip-version-check "$@"; }
cat > "$work/show.py" <<'PY'
import json
import os
import sys
from pathlib import Path

import pyarrow as pa
from pyarrow import json as lines

IDS = [2**63 + 1, 2**63 + 2, 2**53 + 1]
path = Path("ids.jsonl")
path.write_text("".join(json.dumps({"id": number}) + "\n" for number in IDS))
plain = [int(number) for number in lines.read_json(path)["id"].to_pylist()]
declared = lines.ParseOptions(explicit_schema=pa.schema([("id", pa.uint64())]))
typed = lines.read_json(path, parse_options=declared)["id"].to_pylist()
print("pyarrow", pa.__version__)
print(f"  expected {IDS}\n  seen     {plain}\n  seen with explicit_schema {typed}")
same = plain == [2**63, 2**63, 2**53] and typed == IDS
if "datasets" in sys.argv:
    os.environ.update(HF_HUB_OFFLINE="1", HF_HOME="home")
    import datasets

    datasets.disable_progress_bars()
    features = datasets.Features({"id": datasets.Value("uint64")})
    loaded = datasets.load_dataset("json", data_files=str(path), split="train", features=features)["id"][:]
    print(f"datasets {datasets.__version__}, features of uint64\n  expected {IDS}\n  seen     {loaded}")
    same = same and loaded == [2**63, 2**63, 2**53]
sys.exit(0 if same else 1)
PY
cd "$work"
pip pyarrow==26.0.1
"$work/venv/bin/python" show.py
pip pyarrow==25.0.1 datasets==5.2.0
"$work/venv/bin/python" show.py datasets
