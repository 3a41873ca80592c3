#!/usr/bin/env bash
# What: the filter id == 2**60 of a uint64 column finds three ids, of which one is equal; a join with int64 pairs all.
# Version: daft 0.7.26.
# Why it surprises: an int64 column with the same numbers gives the one. An integer of Python is taken for an int64, the
#   two types are compared as float64, and beyond 2**53 neighbours are one float64. is_in and SQL do the same, and
#   id + 1 is a column of floats.
# Who it touches: ids that are hashes of texts or URLs, which are uint64 in Parquet: filters and joins bring in other
#   documents. A number cast to the column's type compares exactly. Nothing was found upstream.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check daft==0.7.26 pyarrow==25.0.1
cd "$work"
DAFT_ANALYTICS_ENABLED=0 DO_NOT_TRACK=1 DAFT_PROGRESS_BAR=0 "$work/venv/bin/python" -W ignore - <<'PY'
import sys

import daft
import pyarrow as pa
import pyarrow.parquet as pq
from daft import col, lit

first = 2**60
numbers = [first, first + 1, first + 2]
pq.write_table(pa.table({"id": pa.array(numbers, pa.uint64()), "signed": pa.array(numbers, pa.int64())}), "t.parquet")
ids = daft.read_parquet("t.parquet")
other = daft.from_arrow(pa.table({"key": pa.array([first], pa.int64())}))


def found(frame: daft.DataFrame) -> int:
    return frame.count_rows()


exact = lit(first).cast(daft.DataType.uint64())
seen = {
    "int64 == 2**60": found(ids.where(col("signed") == first)),
    "uint64 == 2**60": found(ids.where(col("id") == first)),
    "uint64 in [2**60]": found(ids.where(col("id").is_in([first]))),
    "uint64 = 2**60 in SQL": found(daft.sql(f"SELECT id FROM ids WHERE id = {first}")),
    "uint64 joined with one int64": found(ids.join(other, left_on="id", right_on="key")),
    "uint64 == 2**60 as uint64": found(ids.where(col("id") == exact)),
}
print("daft", daft.__version__)
for case, rows in seen.items():
    print(f"{case}: expected 1 row, seen {rows}")
sys.exit(0 if list(seen.values()) == [1, 3, 3, 3, 3, 1] else 1)
PY
