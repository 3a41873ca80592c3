#!/usr/bin/env bash
# What: retrieve() returns k documents for a query that shares no word with any of them: the last of the corpus, each
#   with score 0; a query with one match is filled up to k in the same way.
# Version: bm25s 0.3.16.
# Why it surprises: Lucene and other BM25s return the matches alone, so that the length of a list says how many there
#   are; here every list has k documents, and its end is the same few documents for each query.
# Who it touches: first stages of rerankers, whose candidates beyond the matches are one arbitrary end of the corpus, and
#   hard negatives mined from them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check bm25s==0.3.16
"$work/venv/bin/python" - <<'PY'
import sys

import bm25s

index = bm25s.BM25()
index.index([["cat", "dog"], ["dog"], ["fish"], ["tree"], ["house"]], show_progress=False)


def found(*words):
    documents, scores = index.retrieve([list(words)], k=3, show_progress=False)
    return documents[0].tolist(), [round(float(score), 2) for score in scores[0]]


print("bm25s", bm25s.__version__)
print("expected for 'zebra': nothing; seen:", *found("zebra"))
print("expected for 'cat': document 0 alone; seen:", *found("cat"))
sys.exit(0 if found("zebra")[1] == [0.0] * 3 and found("cat")[0][0] == 0 and found("cat")[1][1:] == [0.0] * 2 else 1)
PY
