#!/usr/bin/env bash
# What: with pandas 3, R-precision of trectools counts documents that other queries retrieved: 1 and 3 instead of 0.
# Versions: trectools 0.0.50 with pandas 3.1.1, which its `pandas>=0.15.0` installs; with pandas 2.3.3 it is right.
# Why it surprises: nothing fails or warns, and map, P and recall of the same object stay right. The cut to the first R
#   is a groupby("query").apply(), and since pandas 3 what apply() returns has no column "query" any more; the merge
#   with the judgments goes by the columns that both have, which then is the document id alone.
# Who it touches: whoever compares rerankers on one collection, where the documents of queries overlap.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# In both runs no query has its own document first, where R is 1.
printf '%s\n' "q1 0 a 1" "q2 0 b 1" "q3 0 b 1" "q4 0 b 1" >"$work/qrels"
printf '%s\n' "q1 Q0 b 1 2.0 swapped" "q1 Q0 a 2 1.0 swapped" "q2 Q0 a 1 2.0 swapped" "q2 Q0 b 2 1.0 swapped" \
  "q3 Q0 c 1 2.0 swapped" "q4 Q0 c 1 2.0 swapped" >"$work/swapped"
printf '%s\n' "q1 Q0 c 1 2.0 popular" "q2 Q0 a 1 2.0 popular" "q3 Q0 a 1 2.0 popular" "q4 Q0 a 1 2.0 popular" \
  >"$work/popular"
failed=0
for pandas in 2.3.3 3.1.1; do
  python3.11 -m venv --clear "$work/venv"
  "$work/venv/bin/pip" install -q --disable-pip-version-check \
    trectools==0.0.50 pandas==$pandas pytrec_eval-terrier==0.5.11
  "$work/venv/bin/python" -W ignore - "$work" <<'PY' || failed=1
import sys
from importlib.metadata import version
from pathlib import Path

import pytrec_eval
from trectools import TrecEval, TrecQrel, TrecRun

print("trectools", version("trectools"), "pandas", version("pandas"))
work = Path(sys.argv[1])
seen = {}
for name in ("swapped", "popular"):
    with (work / "qrels").open() as qrels, (work / name).open() as run:
        measured = pytrec_eval.RelevanceEvaluator(pytrec_eval.parse_qrel(qrels), {"Rprec"}).evaluate(
            pytrec_eval.parse_run(run)
        )
    expected = {query: values["Rprec"] for query, values in measured.items()}
    trec = TrecEval(TrecRun(str(work / name)), TrecQrel(str(work / "qrels")))
    rprec = trec.get_rprec(per_query=True).iloc[:, 0].fillna(0.0).to_dict()
    seen[name] = rprec
    print(f"{name}: expected R-precision {expected} (trec_eval), seen {rprec}, P@1 {trec.get_precision(depth=1)}")
counts = {name: list(rprec.values()) for name, rprec in seen.items()}
right = {"swapped": [0, 0, 0, 0], "popular": [0, 0, 0, 0]}
wrong = {"swapped": [1, 1, 1, 1], "popular": [3, 0, 0, 0]}
sys.exit(0 if counts == (wrong if version("pandas")[0] == "3" else right) else 1)
PY
done
exit $failed
