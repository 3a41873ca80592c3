#!/usr/bin/env bash
# What: mine_hard_negatives with a cache_folder takes the embeddings that another model left there, so that of two
#   models made of modules the second one mines the first one's negatives.
# Version: sentence-transformers 6.2.0.
# Why it surprises: texts and prompts are in the cache's key, so that a change of those is seen. Of the model it is, by
#   its code, the name of the one that it was trained from, which a model made of modules does not have.
# Who it touches: comparisons of own models over one corpus. A folder for each model, or None, gives each its own
#   negatives. That prompts were missing from the key was huggingface/
#   sentence-transformers#3870; of the model nothing was found upstream.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check \
    sentence-transformers==6.2.0 torch==2.13.0 datasets==5.2.0 numpy==2.4.6
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
"$work/venv/bin/python" -W ignore - "$work/cache" 2>/dev/null <<'PY'
import sys

import sentence_transformers
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from sentence_transformers.util import mine_hard_negatives
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ["query", "right", "first", "second"]


def model(near: str) -> SentenceTransformer:
    """A model of one vector a word, with the vector of one word near the query's."""
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="query"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    vectors = [[1.0, 0.0], [1.0, 0.1], *([1.0, 0.5] if word == near else [0.0, 1.0] for word in WORDS[2:])]
    return SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_weights=torch.tensor(vectors))], device="cpu"
    )


def negative(near: str, folder: str | None) -> str:
    pairs = Dataset.from_dict({"question": ["query"], "passage": ["right"]})
    mined = mine_hard_negatives(
        pairs, model(near), corpus=WORDS[2:], num_negatives=1, cache_folder=folder, verbose=False
    )
    return mined["negative"][0]


print("sentence-transformers", sentence_transformers.__version__)
seen = {folder: [negative(near, folder) for near in WORDS[2:]] for folder in (None, sys.argv[1])}
alone, cached = seen.values()
print("the negatives of two models without a cache_folder:", alone)
print(f"with one cache_folder: expected {alone}, seen {cached}")
sys.exit(0 if alone == ["first", "second"] and cached == ["first", "first"] else 1)
PY
