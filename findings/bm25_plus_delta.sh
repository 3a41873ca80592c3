#!/usr/bin/env bash
# What: the delta of BM25+ changes no ranking, whatever its value; the method's formula ranks otherwise with it.
# Versions: rank-bm25 0.2.2 (BM25Plus), bm25s 0.3.16 (method="bm25+").
# Why it surprises: delta is a reward for holding a word of the query at all, which is the method's one difference from
#   BM25. Both libraries give it for each word of the query to every document, with the word or without: one and the
#   same sum for all. Two libraries that agree with each other look checked.
# Who it touches: first stages and baselines called BM25+ that are plain BM25 in truth; sweeps over delta; and scores of
#   documents without any word of the query, which are not 0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check rank-bm25==0.2.2 bm25s==0.3.16 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import math
import sys
from collections.abc import Callable
from importlib.metadata import version

import bm25s
import numpy as np
from rank_bm25 import BM25Plus

K1, B = 1.5, 0.75
QUERY = ["solar", "panel"]
CORPUS = [
    ["solar"] * 4,  # one word of the query, often
    ["solar", "panel", *(f"word{n}" for n in range(60))],  # both words, in a long document
    *([f"other{n}"] * 10 for n in range(6)),  # none
]


def formula(delta: float) -> list[float]:
    """BM25+ as published (Lv and Zhai, CIKM 2011): a sum over the words that the document holds."""
    mean = sum(map(len, CORPUS)) / len(CORPUS)
    idf = {word: math.log((len(CORPUS) + 1) / sum(word in document for document in CORPUS)) for word in QUERY}
    return [
        sum(
            idf[word] * (delta + (K1 + 1) * count / (K1 * (1 - B + B * len(document) / mean) + count))
            for word in QUERY
            if (count := document.count(word))
        )
        for document in CORPUS
    ]


def of_bm25s(delta: float) -> list[float]:
    index = bm25s.BM25(method="bm25+", k1=K1, b=B, delta=delta)
    index.index(CORPUS, show_progress=False)
    return index.get_scores(QUERY).tolist()


def of_rank_bm25(delta: float) -> list[float]:
    return BM25Plus(CORPUS, k1=K1, b=B, delta=delta).get_scores(QUERY).tolist()


def first(scores: Callable[[float], list[float]]) -> list[int]:
    """The best document for a delta of 0, 1 and 100."""
    return [int(np.argmax(scores(delta))) for delta in (0, 1, 100)]


print("rank-bm25", version("rank-bm25"), "bm25s", version("bm25s"))
best = {call.__name__: first(call) for call in (formula, of_rank_bm25, of_bm25s)}
for name, found in best.items():
    print(f"best document for delta 0, 1 and 100: expected {best['formula']}, seen {found} ({name})")
without = [call(1)[-1] for call in (formula, of_rank_bm25, of_bm25s)]
print("score of a document with neither word: expected 0, seen", [round(score, 3) for score in without])
same = best["of_rank_bm25"] == best["of_bm25s"] == [0, 0, 0]
sys.exit(0 if best["formula"] == [0, 1, 1] and same and without[0] == 0 < min(without[1:]) else 1)
PY
