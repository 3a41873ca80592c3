#!/usr/bin/env bash
# What: of two nDCGs that differ in their gains, asked for in one call, in some runs of a program one has the other's
#   value and the other is 0; the next run of the same program may be right.
# Version: ir-measures 0.4.3 with pytrec-eval-terrier 0.5.11.
# Why it surprises: each alone is right, and measures of one call are meant to be computed side by side. Which one is
#   first is the order of a set, so it changes with Python's seed for hashes.
# Who it touches: comparisons of linear with exponential gains, which is how two papers' nDCGs are reconciled.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ir-measures==0.4.3 pytrec-eval-terrier==0.5.11
cat > "$work/two.py" <<'PY'
import sys

import ir_measures
from ir_measures import Qrel, ScoredDoc, nDCG

qrels = [Qrel("q", "a", 1), Qrel("q", "b", 2)]
run = [ScoredDoc("q", "a", 2.0), ScoredDoc("q", "b", 1.0)]
linear, exponential = nDCG @ 10, nDCG(gains={1: 1, 2: 3}) @ 10


def values(*measures):
    seen = ir_measures.calc_aggregate(measures, qrels, run)
    return [round(seen[measure], 4) for measure in measures]


print(values(linear) + values(exponential) if sys.argv[1] == "alone" else values(linear, exponential))
PY
echo "ir-measures 0.4.3"
echo "each alone: $("$work/venv/bin/python" "$work/two.py" alone)"
seen=$(for seed in $(seq 20); do PYTHONHASHSEED=$seed "$work/venv/bin/python" "$work/two.py" together; done | sort | uniq -c)
echo "expected: the same in one call, always; seen in 20 runs:"
echo "$seen"
[ "$(awk '{print $2, $3}' <<<"$seen")" = "[0.7967, 0.0]
[0.8597, 0.7967]" ]
