#!/usr/bin/env bash
# What: ERR and nDCG(dcg='exp-log2') count queries of one number as one query, whatever stands before the last hyphen
#   of their ids: an nDCG of 1.57, and the mean over "dev-1" and "test-1" is .52 where it is .82 for "1" and "2".
# Version: ir-measures 0.4.3 (its provider gdeval, which needs perl).
# Why it surprises: trec_eval's measures take the same ids as they are, and nothing is said; an id that ends in no
#   number is an error of perl instead. Ids such as "dev-1" also come back a second time as "1".
# Who it touches: whoever reports ERR or the nDCG with exponential gains on data sets made of several splits.
set -euo pipefail
command -v perl >/dev/null || { echo "perl is needed"; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check ir-measures==0.4.3 pytrec-eval-terrier==0.5.11
"$work/venv/bin/python" - <<'PY'
import sys

import ir_measures
from ir_measures import Qrel, ScoredDoc, nDCG


def values(first, second):
    """nDCG by trec_eval and by gdeval: the first query has its relevant document at place 1, the second at place 2."""
    qrels = [Qrel(first, "a", 1), Qrel(second, "b", 1)]
    run = [ScoredDoc(query, *scored) for query in (first, second) for scored in (("a", 2.0), ("b", 1.0))]
    measures = nDCG @ 10, nDCG(dcg="exp-log2") @ 10
    means = [round(ir_measures.calc_aggregate([measure], qrels, run)[measure], 4) for measure in measures]
    by_query = {value.query_id: round(value.value, 4) for value in ir_measures.iter_calc(measures[1:], qrels, run)}
    return means, by_query


print("ir-measures", ir_measures.__version__, "(with grades 0 and 1 both nDCGs are equal by definition)")
print("queries 1 and 2:", *values("1", "2"))
print("expected: the same means for dev-1 and test-1; seen:", *values("dev-1", "test-1"))
same = values("1", "2") == ([0.8155, 0.8155], {"1": 1.0, "2": 0.6309})
merged = values("dev-1", "test-1") == ([0.8155, 0.5235], {"1": 1.5706, "dev-1": 0.0, "test-1": 0.0})
sys.exit(0 if same and merged else 1)
PY
