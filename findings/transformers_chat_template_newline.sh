#!/usr/bin/env bash
# What: a chat template that ends in two line breaks gives a prompt that ends in one.
# Version: transformers 5.23.0 with jinja2 3.1.6.
# Why it surprises: the prompt of Qwen3-Reranker ends in "</think>\n\n"; written down so in a template, it loses a token's
#   worth of text, and the score that is read right after it is another one (.364 becomes .9995 on one pair).
# Who it touches: rerankers whose prompt is a chat template, in sentence-transformers too.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check transformers==5.23.0 jinja2==3.1.6
"$work/venv/bin/python" - <<'PY'
import sys

import transformers
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
seen = []
for breaks in (1, 2, 3):
    tokenizer.chat_template = "{{ messages[0]['content'] }}</think>" + "\n" * breaks
    seen.append(tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False))
print("transformers", transformers.__version__)
print("expected: 1, 2 and 3 line breaks; seen:", [prompt.count("\n") for prompt in seen])
sys.exit(0 if [prompt.count("\n") for prompt in seen] == [0, 1, 2] else 1)
PY
