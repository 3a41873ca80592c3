#!/usr/bin/env bash
# What: fuse(norm="max") of a run with negative scores puts the document that is first in both runs below one that is
#   last in the other run alone.
# Version: ranx 0.3.21.
# Why it surprises: max norm is s / s_max, and the other norms keep the document first. Where s_max is 0 or less, the
#   library divides by 1e-9 instead, so that -1 becomes -1,000,000,000 and the run outweighs all others: what it does
#   not hold is best. Nothing was found upstream.
# Who it touches: fusion of a reranker's logits with a first stage; most lists of hard queries have no score above 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ranx==0.3.21 numpy==2.4.6
export IR_DATASETS_HOME="$work/ir" HF_HOME="$work/hf" HF_HUB_OFFLINE=1 NUMBA_CACHE_DIR="$work/numba"
MPLCONFIGDIR="$work/matplotlib" "$work/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

from ranx import Run, fuse

logits = {"query": {"a": -1.0, "b": -3.0, "c": -5.0}}
first_stage = {"query": {"a": 0.9, "c": 0.2, "d": 0.1}}


def fused(norm: str | None) -> list[tuple[str, float]]:
    """Documents with their scores by CombSUM, best first."""
    scores = fuse([Run(logits), Run(first_stage)], norm=norm, method="sum").to_dict()["query"]
    return [(document, round(score, 3)) for document, score in sorted(scores.items(), key=lambda pair: -pair[1])]


print("ranx", version("ranx"))
seen = {norm: fused(norm) for norm in ("min-max", "sum", "zmuv", "rank", "max")}
for norm, ranking in seen.items():
    print(f"norm {norm}: expected a first, seen {ranking}")
best = [ranking[0][0] for ranking in seen.values()]
sys.exit(0 if best == ["a"] * 4 + ["d"] and dict(seen["max"])["a"] == -999999999.0 else 1)
PY
