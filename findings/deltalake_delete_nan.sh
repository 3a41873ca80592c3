#!/usr/bin/env bash
# What: delete("s > 0.7") deletes the row with NaN, which reading the table with the filter s > 0.7 does not show.
# Versions: deltalake 1.6.6 with pyarrow 26.0.1.
# Why it surprises: who looks first at what a delete will take sees one row, and two are gone. Deletes go through
#   DataFusion, to which NaN is above every number; to_pyarrow_table goes through pyarrow, where it compares with none.
# Who it touches: tables of scores in which one is NaN, cleaned by a threshold.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check deltalake==1.6.6 pyarrow==26.0.1
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import deltalake
import pyarrow as pa

print("deltalake", deltalake.__version__, "pyarrow", pa.__version__)
deltalake.write_deltalake("scores", pa.table({"n": [0, 1, 2], "s": [1.0, float("nan"), 0.5]}))
table = deltalake.DeltaTable("scores")
shown = sorted(table.to_pyarrow_table(filters=[("s", ">", 0.7)])["n"].to_pylist())
table.delete("s > 0.7")
left = sorted(table.to_pyarrow_table()["n"].to_pylist())
print("rows with s > 0.7, as read: expected [0], seen", shown)
print("rows left after delete of s > 0.7: expected [1, 2], seen", left)
sys.exit(0 if (shown, left) == ([0], [2]) else 1)
PY
