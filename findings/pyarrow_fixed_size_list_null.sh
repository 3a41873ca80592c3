#!/usr/bin/env bash
# What: pyarrow 25 cannot read back its own Parquet file of a fixed_size_list column with one null.
# Versions: pyarrow 25.0.1 fails, 26.0.1 reads it.
# Why it surprises: the file is sound. Written with store_schema=False, so with less information, the same pyarrow
#   reads it (as a list). With the schema stored, the reader wants two values for the null entry.
# Who it touches: columns of embeddings where one row has none; Polars' Array columns too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for case in "25.0.1 fails" "26.0.1 reads"; do
    read -r version outcome <<<"$case"
    python3.11 -m venv "$work/$version"
    "$work/$version/bin/pip" install -q --disable-pip-version-check "pyarrow==$version"
    "$work/$version/bin/python" - "$outcome" <<'PY'
import io
import sys

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = [[1.0, 2.0], None, [3.0, 4.0]]


def read_back(store_schema: bool) -> object:
    file = io.BytesIO()
    pq.write_table(pa.table({"v": pa.array(ROWS, pa.list_(pa.float32(), 2))}), file, store_schema=store_schema)
    try:
        return pq.read_table(file)["v"].to_pylist()
    except pa.ArrowInvalid as error:
        return f"ArrowInvalid: {error}"


print("pyarrow", pa.__version__)
stored, bare = read_back(True), read_back(False)
print("expected:", ROWS)
print("seen with the schema stored:", stored)
print("seen with store_schema=False:", bare)
fails = isinstance(stored, str) and "to be of size=2" in stored
sys.exit(0 if bare == ROWS and (fails if sys.argv[1] == "fails" else stored == ROWS) else 1)
PY
done
