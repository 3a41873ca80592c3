#!/usr/bin/env bash
# What: mean_recall of a batch is 1 for a key that is not in the index, if the key is 0 and the lists are short.
# Version: usearch 2.26.6.
# Why it surprises: 0 is a valid key, most often the first document's. The lists of a batch are filled up with it to the
#   length asked for, as its documentation says, and `counts` says how many are real; the library's own recall does not
#   go by it.
# Who it touches: recall over an index of part of a corpus, or with fewer documents than k.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check usearch==2.26.6
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import numpy as np
import usearch
from usearch.index import Index

print("usearch", usearch.__version__)
vectors = np.eye(4, dtype=np.float32)
index = Index(ndim=4, metric="cos", dtype="f32")
index.add(np.array([10, 11, 12]), vectors[:3])
matches = index.search(vectors[:2], 5)
recall = {key: matches.mean_recall(np.array([key, key])) for key in (0, 7)}
print("0 in the index: expected False, seen", 0 in index)
print("counts: expected [3, 3], seen", matches.counts.tolist())
print("recall of the absent key 7: expected 0.0, seen", recall[7])
print("recall of the absent key 0: expected 0.0, seen", recall[0])
sys.exit(0 if 0 not in index and recall == {0: 1.0, 7: 0.0} else 1)
PY
