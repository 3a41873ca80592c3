#!/usr/bin/env bash
# What: where the judgments name relevant documents alone, a perfect list has a bpref of 1, 0 or NaN, as the library is.
# Versions: pytrec_eval-terrier 0.5.11 (1), trectools 0.0.50 (0), ranx 0.3.21 (NaN).
# Why it surprises: bpref is the measure for incomplete judgments, and all three agree once a non-relevant document is
#   judged. One such query among many makes the mean of ranx NaN and lowers that of trectools.
# Who it touches: MS MARCO, most sets of BEIR, and whatever has positives only. NaN is known upstream, as AmenRa/ranx#66.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check \
    pytrec_eval-terrier==0.5.11 trectools==0.0.50 ranx==0.3.21 numpy==2.4.6 pandas==3.1.1
export IR_DATASETS_HOME="$work/ir" HF_HOME="$work/hf" HF_HUB_OFFLINE=1 NUMBA_CACHE_DIR="$work/numba"
MPLCONFIGDIR="$work/matplotlib" "$work/venv/bin/python" -W ignore - <<'PY'
import sys

import pandas as pd
import pytrec_eval
import ranx
from trectools import TrecEval, TrecQrel, TrecRun

SCORES = {"a": 3.0, "b": 2.0, "c": 1.0}


def of_pytrec_eval(grades: dict[str, int]) -> float:
    return pytrec_eval.RelevanceEvaluator({"q": grades}, {"bpref"}).evaluate({"q": SCORES})["q"]["bpref"]


def of_trectools(grades: dict[str, int]) -> float:
    run, judged = TrecRun(), TrecQrel()
    rows = [("q", "Q0", name, rank, score, "run") for rank, (name, score) in enumerate(SCORES.items(), 1)]
    run.run_data = pd.DataFrame(rows, columns=["query", "q0", "docid", "rank", "score", "system"])
    rows = [("q", 0, name, grade) for name, grade in grades.items()]
    judged.qrels_data = pd.DataFrame(rows, columns=["query", "q0", "docid", "rel"])
    return float(TrecEval(run, judged).get_bpref())


def of_ranx(grades: dict[str, int]) -> float:
    return float(ranx.evaluate(ranx.Qrels({"q": grades}), ranx.Run({"q": SCORES}), "bpref"))


seen = {}
for name, grades in {"a and b relevant": {"a": 1, "b": 1}, "c judged not relevant too": {"a": 1, "b": 1, "c": 0}}.items():
    seen[name] = [call(grades) for call in (of_pytrec_eval, of_trectools, of_ranx)]
    print(f"bpref of a, b, c, {name}: expected 1; seen by pytrec_eval, trectools and ranx:", *seen[name])
positives, both = seen.values()
sys.exit(0 if str(positives) == "[1.0, 0.0, nan]" and both == [1.0, 1.0, 1.0] else 1)
PY
