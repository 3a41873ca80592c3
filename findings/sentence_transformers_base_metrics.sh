#!/usr/bin/env bash
# What: with always_rerank_positives=False, a reranker that leaves every list as it is shows a gain over "base": an nDCG
#   of .47 becomes 1, where one of three relevant documents was retrieved.
# Version: sentence-transformers 6.2.0 (CrossEncoderRerankingEvaluator).
# Why it surprises: the two columns of one table are compared with each other, and the option is the one that is named
#   more realistic. "Base" counts the relevant documents that were not retrieved, the reranked figures forget them.
#   With the default, or where every relevant document was retrieved, both are equal.
# Who it touches: gains of rerankers in model cards and training logs; the weaker the first stage, the larger the gain.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check sentence-transformers==6.2.0 torch==2.13.0 numpy==2.4.6
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1
"$work/venv/bin/python" -W ignore - <<'PY'
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import sentence_transformers
from sentence_transformers.cross_encoder.evaluation import CrossEncoderRerankingEvaluator

RETRIEVED = [f"text {n}" for n in range(5)]


class AsItIs:
    """A reranker whose scores fall from the first document to the last."""

    model_card_data = SimpleNamespace(set_evaluation_metrics=lambda *arguments: None)

    def predict(self, pairs: list[list[str]], **options: Any) -> Any:
        return np.array([-float(text.split()[1]) for _, text in pairs])


def figures(relevant: list[str], all_positives: bool) -> tuple[float, float]:
    """nDCG@5 before and after."""
    sample = {"query": "q", "positive": relevant, "documents": RETRIEVED}
    evaluator = CrossEncoderRerankingEvaluator([sample], 5, always_rerank_positives=all_positives, write_csv=False)
    found = evaluator(AsItIs())
    return round(float(found["base_ndcg@5"]), 3), round(float(found["ndcg@5"]), 3)


print("sentence-transformers", sentence_transformers.__version__)
cases = {
    "all retrieved": figures(["text 0"], False),
    "one of three retrieved, by default": figures(["text 0", "text 98", "text 99"], True),
    "one of three retrieved, always_rerank_positives=False": figures(["text 0", "text 98", "text 99"], False),
}
for name, (before, after) in cases.items():
    print(f"{name}: nDCG@5 {before} before, expected the same after, seen {after}")
gains = [after - before for before, after in cases.values()]
sys.exit(0 if gains[:2] == [0, 0] and gains[2] > 0.5 else 1)
PY
