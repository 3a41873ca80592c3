#!/usr/bin/env bash
# What: rank.rerank scores a document higher beside a longer one, and so ranks it above the one that is better.
# Version: pylate 1.6.0 with torch 2.13.0.
# Why it surprises: a late interaction's score is of one query and one document. The documents of a query are filled up
#   with zero vectors to the longest, and a zero is the best match of every query token whose similarities are all
#   negative: the shorter document's negatives become 0, the longest one's stay. scores.colbert_scores takes a mask, and
#   rerank, which retrieve.ColBERT goes by too, gives none.
#   Of ColBERT's own code it was asked in stanford-futuredata/ColBERT#62; of PyLate nothing was found upstream.
# Who it touches: scores compared or merged between calls, thresholds, and the order of candidates of mixed lengths. One
#   document a call gives the right scores.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check \
    sentence-transformers==5.3.0 transformers==5.3.0 datasets==5.2.0 torch==2.13.0 numpy==2.4.6
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps pylate==1.6.0
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1
"$work/venv/bin/python" -W ignore - <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from pylate.rank import rerank

query = np.array([[1, 0], [0, 1]], np.float32)
documents = {
    "short": np.array([[-0.6, 0.8]], np.float32),
    "long": np.array([[-0.28, 0.96], [-0.28, 0.96]], np.float32),
}
# The sum, over the query's tokens, of the best similarity to a token of the document.
right = {name: round(float((query @ tokens.T).max(1).sum()), 2) for name, tokens in documents.items()}


def scores(*names: str) -> dict[str, float]:
    """Scores by rank.rerank, best first, of the documents given in one call."""
    found = rerank([list(names)], [query], [[documents[name] for name in names]])[0]
    return {entry["id"]: round(entry["score"], 2) for entry in found}


alone, together = {**scores("long"), **scores("short")}, scores("short", "long")
print("pylate", version("pylate"), "torch", version("torch"))
print(f"by the formula: {right}; one document a call: {alone}")
print(f"both in one call: expected {alone}, seen {together}")
ok = alone == right == {"short": 0.2, "long": 0.68} and list(together.items()) == [("short", 0.8), ("long", 0.68)]
sys.exit(0 if ok else 1)
PY
