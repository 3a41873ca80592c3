#!/usr/bin/env bash
# What: a null in a column of DuckDB's fixed arrays (INTEGER[2]) makes its Parquet file unreadable for pyarrow.
# Versions: duckdb 2.0.0 writes; pyarrow 25.0.1 and 26.0.1 fail, polars 2.1.0 and DuckDB itself read.
# Why it surprises: the column is declared as a list like any other, its note says nothing of a size, and the same
#   values as INTEGER[] are read. pyarrow blames the offsets: "Length spanned by list offsets (5) larger than ...".
# Who it touches: tables with embeddings as FLOAT[768] in which one row has none.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 25.0.1 26.0.1; do
    python3.11 -m venv "$work/$version"
    "$work/$version/bin/pip" install -q --disable-pip-version-check "pyarrow==$version" duckdb==2.0.0 polars==2.1.0
    "$work/$version/bin/python" - "$work" <<'PY'
import sys

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = [[1, 2], None, [3, 4]]


def read(kind: str) -> dict[str, object]:
    """What each library reads of a column of this type."""
    path = f"{sys.argv[1]}/rows.parquet"
    values = ", ".join(f"({'NULL' if row is None else row}::{kind})" for row in ROWS)
    duckdb.sql(f"COPY (FROM (VALUES {values}) t(v)) TO '{path}' (FORMAT parquet)")
    try:
        arrow: object = pq.read_table(path)["v"].to_pylist()
    except pa.ArrowInvalid as error:
        arrow = f"ArrowInvalid: {error}"
    with duckdb.connect() as connection:
        own = [None if v is None else list(v) for (v,) in connection.sql(f"FROM '{path}'").fetchall()]
    return {"duckdb": own, "polars": polars.read_parquet(path)["v"].to_list(), "pyarrow": arrow}


print("duckdb", duckdb.__version__, "pyarrow", pa.__version__, "polars", polars.__version__)
fixed, free = read("INTEGER[2]"), read("INTEGER[]")
print("expected:", ROWS)
print("seen of INTEGER[]:", free)
print("seen of INTEGER[2]:", fixed)
others = [*free.values(), fixed["duckdb"], fixed["polars"]]
sys.exit(0 if all(rows == ROWS for rows in others) and "larger than values array" in str(fixed["pyarrow"]) else 1)
PY
done
