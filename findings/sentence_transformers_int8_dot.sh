#!/usr/bin/env bash
# What: dot_score, and semantic_search and similarity by it, give sums modulo 256 for int8 embeddings: 20000 is 32.
# Version: sentence-transformers 6.2.0 with torch 2.13.0.
# Why it surprises: the embeddings are the library's own, of encode(precision="int8") or quantize_embeddings, and its
#   search takes them without a word. cos_sim of the same embeddings is an error. A sum of 64 products of 8-bit numbers
#   takes 21 bits; torch keeps it in 8.
# Who it touches: searches and candidates from int8 embeddings: the best document is found by chance. As float32 or
#   int32 they are ranked right.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check sentence-transformers==6.2.0 torch==2.13.0 numpy==2.4.6
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1
"$work/venv/bin/python" -W ignore - <<'PY'
import sys
from typing import Any

import numpy as np
import sentence_transformers
import torch
from sentence_transformers.util import dot_score, quantize_embeddings, semantic_search

SIZE, WIDTH = 100, 64
plain = np.random.default_rng(0).standard_normal((SIZE, WIDTH)).astype(np.float32)
plain /= np.linalg.norm(plain, axis=1, keepdims=True)
ranges = np.stack([plain.min(axis=0), plain.max(axis=0)])
quantized = quantize_embeddings(plain, "int8", ranges=ranges)


def found(embeddings: Any) -> int:
    """How many of the embeddings, each asked for as a query, are the best document for themselves."""
    hits = semantic_search(torch.as_tensor(embeddings), torch.as_tensor(embeddings), top_k=1, score_function=dot_score)
    return sum(best["corpus_id"] == query for query, [best] in enumerate(hits))


print("sentence-transformers", sentence_transformers.__version__, "torch", torch.__version__)
pair = np.array([[100, 100]], dtype=np.int8)
score = int(dot_score(pair, pair))
print("dot_score of [100, 100] with itself: expected 20000, seen", score)
seen = {str(kind.__name__): found(quantized.astype(kind)) for kind in (np.float32, np.int32, np.int8)}
for name, count in seen.items():
    print(f"int8 embeddings as {name}: expected {SIZE} of {SIZE} to find themselves, seen {count}")
sys.exit(0 if score == 32 and seen["float32"] == seen["int32"] == SIZE and seen["int8"] < SIZE // 2 else 1)
PY
