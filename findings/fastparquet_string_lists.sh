#!/usr/bin/env bash
# What: fastparquet reads lists of strings as None wherever a file holds them without a dictionary: all rows of DuckDB's
#   file, and the later rows of a long column that pyarrow wrote with its own settings.
# Versions: fastparquet 2026.9.0; files of pyarrow 25.0.1 and duckdb 2.0.1.
# Why it surprises: nothing is raised, the first rows are right, lists of numbers are read in any encoding. pyarrow ends
#   the dictionary of its own accord, at about 1 MB of different texts, so it takes size to see.
# Who it touches: pandas.read_parquet(engine="fastparquet") of ids of candidates, of tokens or tags, and of maps.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check fastparquet==2026.9.0 pyarrow==25.0.1 duckdb==2.0.1 \
  pandas==3.1.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import duckdb
import fastparquet
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 40_000
IDS = [[f"document-{n:040d}", f"other-{n:040d}"] for n in range(ROWS)]


def right() -> int:
    """How many of the rows of the file fastparquet reads right; pyarrow reads them all."""
    assert pq.read_table("ids.parquet")["ids"].to_pylist() == IDS
    read = fastparquet.ParquetFile("ids.parquet").to_pandas()["ids"].tolist()
    assert all(ids is None or ids == expected for ids, expected in zip(read, IDS, strict=True))
    return sum(ids is not None for ids in read)


def of_pyarrow(dictionary: bool, limit: int) -> int:
    table = pa.table({"ids": IDS})
    pq.write_table(table, "ids.parquet", use_dictionary=dictionary, dictionary_pagesize_limit=limit)
    return right()


def of_duckdb() -> int:
    ids = pa.table({"ids": IDS})
    duckdb.sql("COPY ids TO 'ids.parquet' (FORMAT parquet)")
    return right()


print(*(f"{name} {version(name)}" for name in ("fastparquet", "pyarrow", "duckdb")))
seen = {
    "pyarrow, a dictionary of 64 MB": of_pyarrow(True, 64 << 20),
    "pyarrow as it is": of_pyarrow(True, 1 << 20),
    "pyarrow without a dictionary": of_pyarrow(False, 1 << 20),
    "duckdb as it is": of_duckdb(),
}
for name, count in seen.items():
    print(f"{name}: expected {ROWS} rows with their ids, seen {count}; the others are None")
whole, own, without, of_other = seen.values()
sys.exit(0 if whole == ROWS and 0 < own < ROWS and without == of_other == 0 else 1)
PY
