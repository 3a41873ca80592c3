#!/usr/bin/env bash
# What: tokenizer(query, "") encodes the query alone; tokenizer([(query, "")]) encodes a pair with an empty second text.
# Version: transformers 5.23.0.
# Why it surprises: two calls that mean the same pair give other tokens where the second text is empty, and only there.
# Who it touches: a cross-encoder's score of an empty document, which depends on how its library happens to call.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check transformers==5.23.0
"$work/venv/bin/python" - <<'PY'
import sys

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

backend = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "a": 2, "b": 3}, unk_token="b"))
backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
backend.post_processor = processors.TemplateProcessing(
    single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
apart, together = tokenizer("a", "")["input_ids"], tokenizer([("a", "")])["input_ids"][0]
full = tokenizer("a", "b")["input_ids"], tokenizer([("a", "b")])["input_ids"][0]
print("transformers", transformers.__version__)
print("expected: the same ids; seen:", apart, "and", together)
print("with a second text:", *full)
sys.exit(0 if (apart, together) == ([0, 2, 1], [0, 2, 1, 1, 1]) and full[0] == full[1] else 1)
PY
