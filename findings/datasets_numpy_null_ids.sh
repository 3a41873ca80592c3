#!/usr/bin/env bash
# What: one null in a column of int64 ids, and the format "numpy" reads 16777217 as 16777216; a filter for an id then
#   takes another row along.
# Version: datasets 5.2.0 with pyarrow 25.0.1 and numpy 2.4.6.
# Why it surprises: the column is int64 and read as that without the null. The usual cost of a null is float64, which is
#   exact up to 2**53; here it is float32, exact up to 2**24. A row alone, or a batch without the null, gives the right
#   id. That floats come as float32 is known, as huggingface/datasets#5517; of integers beside a null nothing was found.
# Who it touches: numbers of passages in corpora of more than 16.7 million, where one is missing. Without a format they
#   are right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check datasets==5.2.0 pyarrow==25.0.1 numpy==2.4.6
HF_HUB_OFFLINE=1 HF_HOME="$work/home" HF_DATASETS_DISABLE_PROGRESS_BARS=1 "$work/venv/bin/python" - <<'PY'
import sys

import datasets

ids = [2**24, 2**24 + 1]
whole, missing = (datasets.Dataset.from_dict({"id": values}) for values in (ids, [*ids, None]))


def found(table: datasets.Dataset, format: str | None) -> int:
    """Rows that a filter for the second id finds."""
    return table.with_format(format).filter(lambda batch: [x == ids[1] for x in batch["id"]], batched=True).num_rows


print("datasets", datasets.__version__)
read = [int(x) for x in missing.with_format("numpy")[:]["id"][:2]]
alone = [int(missing.with_format("numpy")[row]["id"]) for row in (0, 1)]
print(f"ids beside a null, numpy: expected {ids}, seen {read}; each row by itself: {alone}")
seen = {
    "no null, numpy": found(whole, "numpy"),
    "a null, no format": found(missing, None),
    "a null, numpy": found(missing, "numpy"),
}
for case, rows in seen.items():
    print(f"rows with the id {ids[1]}, {case}: expected 1, seen {rows}")
sys.exit(0 if (read, alone) == ([2**24, 2**24], ids) and list(seen.values()) == [1, 1, 2] else 1)
PY
