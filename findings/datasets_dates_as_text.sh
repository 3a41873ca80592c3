#!/usr/bin/env bash
# What: load_dataset changes texts of JSON lines: a string column of which every value is a date comes back rewritten.
# Version: datasets 5.2.0 with pyarrow 25.0.1.
# Why it surprises: "2020-01-02" becomes "2020-01-02 00:00:00" although the card, or `features`, declares a string; the
#   file is parsed before the declared type counts. One other word anywhere in the column, and all stay as they are.
# Who it touches: columns of short answers, titles or ids that are dates: they match nothing any more.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check datasets==5.2.0 pyarrow==25.0.1
HF_HUB_OFFLINE=1 HF_HOME="$work/home" HF_DATASETS_DISABLE_PROGRESS_BARS=1 "$work/venv/bin/python" - "$work" <<'PY'
import json
import sys
from pathlib import Path

import datasets
import pyarrow as pa

CARD = "---\ndataset_info:\n  features:\n  - name: answer\n    dtype: string\n---\n"
DATES = ["2020-01-02", "2021-03-04T05:06:07"]
declared = datasets.Features({"answer": datasets.Value("string")})


def read(name: str, answers: list[str], **options: object) -> list[str]:
    """The answers of a data set of one file, with a card."""
    folder = Path(sys.argv[1], name)
    folder.mkdir()
    (folder / "README.md").write_text(CARD)
    (folder / "rows.jsonl").write_text("".join(json.dumps({"answer": answer}) + "\n" for answer in answers))
    found = datasets.load_dataset(str(folder), split="train", **options)
    assert found.features == declared
    return found["answer"][:]


print("datasets", datasets.__version__, "pyarrow", pa.__version__)
by_card, by_features = read("card", DATES), read("features", DATES, features=declared)
with_word = read("word", [*DATES, "never"])
print("expected:", DATES)
print("seen, the card says string:", by_card)
print("seen, features=string too:", by_features)
print("seen, with one more answer:", with_word)
changed = ["2020-01-02 00:00:00", "2021-03-04 05:06:07"]
sys.exit(0 if by_card == by_features == changed and with_word == [*DATES, "never"] else 1)
PY
