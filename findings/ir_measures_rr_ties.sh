#!/usr/bin/env bash
# What: RR and RR@10 of one call to ir_measures break ties in opposite ways.
# Versions: ir_measures 0.4.3, pytrec_eval-terrier 0.5.11.
# Why it surprises: a cut-off can only lower a reciprocal rank, and here RR@10 is 1 where RR is 0.5 for the same
#   run of two documents. RR comes from trec_eval (ties by document id, descending), RR@k from the MS MARCO script
#   (ascending); nothing in the result says which. RR@10, nDCG@10 and P@1 of one table rank one run differently.
# Who it touches: anyone who reports RR@10 beside other measures for runs with ties (rounded or saturated scores).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ir_measures==0.4.3 pytrec_eval-terrier==0.5.11
"$work/venv/bin/python" - <<'PY'
import sys
from importlib.metadata import version

import ir_measures
from ir_measures import RR, P, nDCG

print("ir_measures", version("ir_measures"), "pytrec_eval-terrier", version("pytrec_eval-terrier"))
run = {"q": {"d1": 1.0, "d2": 1.0}}


def values(relevant: str) -> list[float]:
    means = ir_measures.calc_aggregate([RR, RR @ 10, P @ 1, nDCG @ 10], {"q": {relevant: 1}}, run)
    return [round(means[measure], 4) for measure in (RR, RR @ 10, P @ 1, nDCG @ 10)]


first, second = values("d1"), values("d2")
print("two tied documents; expected: RR equals RR@10")
print("d1 relevant: RR, RR@10, P@1, nDCG@10 =", first)
print("d2 relevant: RR, RR@10, P@1, nDCG@10 =", second)
sys.exit(0 if first == [0.5, 1.0, 0.0, 0.6309] and second == [1.0, 0.5, 1.0, 1.0] else 1)
PY
