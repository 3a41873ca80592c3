#!/usr/bin/env bash
# What: delete("s != 1") keeps a row that scan("s != 1") returns, the one with NaN; and a null in a list<struct> column
#   comes back as an empty list.
# Versions: pyiceberg 0.12.0 with pyarrow 26.0.1.
# Why it surprises: nothing is raised or noted. After the delete the same scan finds nothing, though the row is there.
#   "s not in (1, 0.5)" returns the row with null, which "s != 1" does not. A null list<string> stays null.
#   The null lists are known upstream, as apache/iceberg-python#3833; the rest was not found there.
# Who it touches: tables of scores in which one is NaN or missing; candidate lists that are unknown, not empty.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check "pyiceberg[sql-sqlite]==0.12.0" pyarrow==26.0.1
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys
from pathlib import Path

import pyarrow as pa
import pyiceberg
from pyiceberg.catalog.sql import SqlCatalog

print("pyiceberg", pyiceberg.__version__, "pyarrow", pa.__version__)
here = Path.cwd()
catalog = SqlCatalog("c", uri=f"sqlite:///{here}/c.db", warehouse=f"file://{here}/tables")
catalog.create_namespace("n")
rows = pa.table({"n": [0, 1, 2, 3], "s": [1.0, float("nan"), 0.5, None]})
scores = catalog.create_table("n.scores", schema=rows.schema)
scores.append(rows)


def found(condition: str) -> list[int]:
    return sorted(scores.scan(row_filter=condition).to_arrow()["n"].to_pylist())


other, absent = found("s != 1"), found("s not in (1.0, 0.5)")
scores.delete("s != 1")
left = sorted(scores.scan().to_arrow()["n"].to_pylist())
again = found("s != 1")
print("scan of s != 1, before the delete: expected [1, 2], seen", other)
print("rows left after delete of s != 1: expected [0, 3], seen", left)
print("scan of s != 1, of these rows: seen", again)
print("scan of s not in (1, 0.5): expected [1], as with !=, seen", absent)

candidate = pa.struct([("id", pa.string()), ("score", pa.float64())])
lists = [[{"id": "a", "score": 0.5}], [], None, [None]]
column = pa.table({"c": pa.array(lists, pa.list_(candidate)), "t": pa.array([["a"], [], None, [None]])})
table = catalog.create_table("n.lists", schema=column.schema)
table.append(column)
read = table.scan().to_arrow()
structs, texts = read["c"].to_pylist()[2], read["t"].to_pylist()[2]
print("null of a list<struct>: expected None, seen", structs)
print("null of a list<string>: expected None, seen", texts)
seen = (other, left, again, absent, structs, texts)
sys.exit(0 if seen == ([1, 2], [0, 1, 3], [], [1, 3], [], None) else 1)
PY
