#!/usr/bin/env bash
# What: unique() and value_counts() of a string_view array turn null into an empty string.
# Versions: pyarrow 25.0.1 and 26.0.1.
# Why it surprises: the same calls on a string array keep the null, and so does dictionary_encode() on
#   string_view; nothing is raised, the result validates, and "" and null become two equal values.
# Who it touches: anyone who lists or counts the values of columns from Polars (pa.table(frame) and
#   write_ipc give string_view) or from other producers of views.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 25.0.1 26.0.1; do
    python3.11 -m venv "$work/$version"
    "$work/$version/bin/pip" install -q --disable-pip-version-check "pyarrow==$version"
    "$work/$version/bin/python" - <<'PY'
import sys

import pyarrow as pa

print("pyarrow", pa.__version__)
ids = ["b", None, "", "b"]
plain, view = pa.array(ids, pa.string()), pa.array(ids, pa.string_view())
print("expected, as of string: unique", plain.unique().to_pylist(), "counts", plain.value_counts().to_pylist())
seen = view.unique()
seen.validate(full=True)
print("seen, of string_view:   unique", seen.to_pylist(), "counts", view.value_counts().to_pylist())
print("dictionary_encode of string_view:", view.dictionary_encode().to_pylist())
as_described = (
    plain.unique().to_pylist() == ["b", None, ""]
    and seen.to_pylist() == ["b", "", ""]
    and [row["values"] for row in view.value_counts().to_pylist()] == ["b", "", ""]
    and view.dictionary_encode().to_pylist() == ids
)
sys.exit(0 if as_described else 1)
PY
done
