#!/usr/bin/env bash
# What: fuse(method="condorcet") of two runs with different documents gives other rankings from process to process; in
#   some, a document is below another that it beats in the only run that has them both.
# Version: ranx 0.3.21.
# Why it surprises: a run that holds neither of two documents is counted as a vote for the second one compared, so each
#   of the two can beat the other; and they are compared in the order of a set, which goes by Python's seed for hashes.
#   Runs that hold the same documents are fused right, as in most examples.
# Who it touches: fusion of lists from two retrievers, which share but part of their documents.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ranx==0.3.21 numpy==2.4.6
export IR_DATASETS_HOME="$work/ir" HF_HOME="$work/hf" HF_HUB_OFFLINE=1 NUMBA_CACHE_DIR="$work/numba"
cat > "$work/fused.py" <<'PY'
import warnings

warnings.simplefilter("ignore")
from ranx import Run, fuse

FIRST = {"a": 3.0, "b": 2.0, "c": 1.0}
SECOND = {"d": 2.0, "e": 1.0}
fused = fuse([Run({"q1": FIRST}), Run({"q1": SECOND})], norm=None, method="condorcet").run["q1"]
print("".join(sorted(fused, key=lambda document: -fused[document])))
PY
"$work/venv/bin/python" - "$work/fused.py" <<'PY'
import os
import subprocess
import sys
from importlib.metadata import version


def fused(seed: int) -> str:
    """The fused ranking of one process, a letter a document."""
    environment = os.environ | {"PYTHONHASHSEED": str(seed)}
    done = subprocess.run([sys.executable, sys.argv[1]], env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


orders = [fused(seed) for seed in range(6)]
kept = [order for order in orders if order.index("a") < order.index("b") < order.index("c")]
print("ranx", version("ranx"), "- the runs a b c and d e")
print("expected: one ranking for every seed, with a before b before c and d before e")
print("seen:", dict(enumerate(orders)), f"- {len(kept)} of {len(orders)} keep a before b before c")
sys.exit(0 if len(set(orders)) > 1 and len(kept) < len(orders) else 1)
PY
