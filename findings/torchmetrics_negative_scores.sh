#!/usr/bin/env bash
# What: a relevant document with a score of 0 or less is counted as not relevant by MRR, MAP, precision and recall, not
#   by nDCG and hit rate: a perfect list of negative scores has an MRR of 0 and an nDCG of 1.
# Versions: torchmetrics 1.9.0 with torch 2.13.0; 1.7.3 gives 1 for all, 1.7.4 is as 1.9.0.
# Why it surprises: these measures go by order, and the sigmoids of the same scores, in the same order, give 1. Their
#   texts speak of estimated probabilities, but negative scores raise nothing, and a small release changed the values.
#   It is meant so upstream, as Lightning-AI/torchmetrics#3104: a score of 0 is to mean not retrieved.
# Who it touches: logits of rerankers, log-probabilities and negated distances: measured lower the harder the queries.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check torchmetrics==1.7.3 torch==2.13.0 numpy==2.4.6
cat > "$work/perfect.py" <<'PY'
import sys

import torch
import torchmetrics
from torchmetrics import retrieval

measures = {
    "MRR": retrieval.RetrievalMRR,
    "MAP": retrieval.RetrievalMAP,
    "precision at 1": lambda: retrieval.RetrievalPrecision(top_k=1),
    "recall at 1": lambda: retrieval.RetrievalRecall(top_k=1),
    "hit rate at 1": lambda: retrieval.RetrievalHitRate(top_k=1),
    "nDCG": retrieval.RetrievalNormalizedDCG,
}
logits = torch.tensor([-1.0, -4.0, -5.0])
relevant, query = torch.tensor([1, 0, 0]), torch.tensor([0, 0, 0])
print("torchmetrics", torchmetrics.__version__, "torch", torch.__version__)
seen = {}
for name, measure in measures.items():
    of_sigmoids, of_logits = (float(measure()(s, relevant, indexes=query)) for s in (logits.sigmoid(), logits))
    print(f"{name} of a perfect list: expected 1.0 and 1.0, seen {of_sigmoids} of sigmoids and {of_logits} of logits")
    seen[of_sigmoids, of_logits] = seen.get((of_sigmoids, of_logits), 0) + 1
sys.exit(0 if seen == ({(1.0, 1.0): 6} if sys.argv[1] == "right" else {(1.0, 0.0): 4, (1.0, 1.0): 2}) else 1)
PY
"$work/venv/bin/python" -W ignore "$work/perfect.py" right
"$work/venv/bin/pip" install -q --disable-pip-version-check torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore "$work/perfect.py" wrong
