#!/usr/bin/env bash
# What: a table with a column list<struct<a: null>> cannot be cast to its own schema.
# Versions: pyarrow 25.0.1 and 26.0.1.
# Why it surprises: a cast that changes nothing gives an array whose null field has one entry per list instead of one
#   per struct. Table.cast raises; Array.cast raises nothing and returns the invalid array. It takes more structs than
#   lists; a cast that changes the struct's type (another type for any field) goes well.
# Who it touches: anyone who casts tables to one schema where a nested field holds nulls only (a title that no
#   candidate has), also where just the list's child is renamed, "element" in Parquet and "item" in memory.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 25.0.1 26.0.1; do
    python3.11 -m venv "$work/$version"
    "$work/$version/bin/pip" install -q --disable-pip-version-check "pyarrow==$version"
    "$work/$version/bin/python" - <<'PY'
import sys

import pyarrow as pa


def outcome(lists: list, name: str, field: pa.DataType) -> str:
    """Of casting a table of these lists of structs to this name of the child and this type of its field."""
    table = pa.table({"c": pa.array(lists, pa.list_(pa.struct([("a", pa.null())])))})
    table.validate(full=True)
    try:
        table.cast(pa.schema([("c", pa.list_(pa.field(name, pa.struct([("a", field)]))))])).validate(full=True)
    except pa.ArrowInvalid as error:
        return f"ArrowInvalid: {error}"
    return "valid"


print("pyarrow", pa.__version__)
more, even = [[{}], [{}, {}]], [[{}], [{}]]
seen = {
    "more structs than lists, to its own schema": outcome(more, "item", pa.null()),
    "more structs than lists, child renamed": outcome(more, "element", pa.null()),
    "one struct per list, to its own schema": outcome(even, "item", pa.null()),
    "more structs than lists, null to string": outcome(more, "item", pa.string()),
}
for case, result in seen.items():
    print(f"{case}: expected valid, seen {result}")
fails = ["smaller than expected" in result for result in seen.values()]
valid = [result == "valid" for result in seen.values()]
sys.exit(0 if fails == [True, True, False, False] and valid == [False, False, True, True] else 1)
PY
done
