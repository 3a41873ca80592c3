#!/usr/bin/env bash
# What: a Parquet file with an Int128 column of Polars cannot even be opened by pyarrow, not its other columns either.
# Version: polars 2.1.0, pyarrow 25.0.1.
# Why it surprises: a decimal of 38 digits holds such a number in standard Parquet, which pyarrow reads. Polars writes an
#   integer of 128 bits instead, which the format does not have, without a word, and reads it back.
# Who it touches: tables with hashes or large sums in Int128.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check polars==2.1.0 pyarrow==25.0.1
"$work/venv/bin/python" - "$work" <<'PY'
import sys

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

path = f"{sys.argv[1]}/rows.parquet"
frame = pl.DataFrame({"id": ["a", "b"], "n": pl.Series([1, 2**70], dtype=pl.Int128)})
frame.write_parquet(path)
try:
    seen: object = pq.read_table(path, columns=["id"])["id"].to_pylist()
except pa.ArrowNotImplementedError as error:
    seen = f"ArrowNotImplementedError: {error}"
print("polars", pl.__version__, "pyarrow", pa.__version__)
print("expected of the column id:", ["a", "b"])
print("seen by Polars:", pl.read_parquet(path)["id"].to_list())
print("seen by pyarrow:", seen)
sys.exit(0 if pl.read_parquet(path).equals(frame) and "more than 64 bits" in str(seen) else 1)
PY
