#!/usr/bin/env bash
# What: pytrec_eval ranks by float32: scores that differ only beyond it are ties, broken by document id.
# Versions: pytrec_eval-terrier 0.5.11.
# Why it surprises: it takes Python floats and its results are float64, but trec_eval's field for the score is a C
#   float, so a strictly ordered run is ranked the other way round, without a word.
# Who it touches: sigmoid scores near 1 (0.99999999 and 0.999999985 tie), fused scores, and large integer scores
#   (16777217 and 16777216 tie): everything above saturation is ordered by id.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check pytrec_eval-terrier==0.5.11
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import pytrec_eval

print("pytrec_eval-terrier", version("pytrec_eval-terrier"))
evaluator = pytrec_eval.RelevanceEvaluator({"q": {"a": 1, "b": 0}}, {"recip_rank"})
seen = []
for best, other in ((0.99999999, 0.999999985), (16777217.0, 16777216.0), (0.9999, 0.9998)):
    seen.append(evaluator.evaluate({"q": {"a": best, "b": other}})["q"]["recip_rank"])
    print(f"relevant {best!r}, other {other!r}: expected reciprocal rank 1.0, seen {seen[-1]}")
sys.exit(0 if seen == [0.5, 0.5, 1.0] else 1)
PY
