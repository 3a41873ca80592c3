#!/usr/bin/env bash
# What: of a Parquet file with the scores NaN and 1.0, is_nan and `!= 1` read no row, and count_rows of `< 2` says 2.
# Versions: pyarrow 25.0.1 and 26.0.1.
# Why it surprises: the same filters on the table in memory are right, and so is the file: the least and the largest value
#   of a row group leave NaN out, as the format asks. The reader takes them for bounds of all rows and drops a row group
#   of which they say that nothing can match, or counts it whole where all must; to_table of `< 2` is right.
# Who it touches: checks for NaN among scores, losses or vectors, which find none. A file of NaN alone is known
#   upstream, as apache/arrow#34162.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 25.0.1 26.0.1; do
    python3.11 -m venv "$work/$version"
    "$work/$version/bin/pip" install -q --disable-pip-version-check "pyarrow==$version"
    "$work/$version/bin/python" - "$work/scores.parquet" <<'PY'
import sys

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

table = pa.table({"score": [float("nan"), 1.0]})
pq.write_table(table, sys.argv[1])
file, score = ds.dataset(sys.argv[1]), ds.field("score")
filters = {"is_nan": score.is_nan(), "!= 1": score != 1, "< 2": score < 2}
print("pyarrow", pa.__version__)
seen = {}
for name, rows in filters.items():
    seen[name] = [table.filter(rows).num_rows, file.to_table(filter=rows).num_rows, file.count_rows(filter=rows)]
    print(f"rows of {name}: expected, as in memory, {seen[name][0]}; seen by to_table and count_rows {seen[name][1:]}")
sys.exit(0 if seen == {"is_nan": [1, 0, 0], "!= 1": [1, 0, 0], "< 2": [1, 1, 2]} else 1)
PY
done
