#!/usr/bin/env bash
# What: XLMRobertaTokenizer puts a pre-tokenizer of its own in the place of the one that tokenizer.json names.
# Version: transformers 5.23.0 with tokenizers 0.23.3.
# Why it surprises: tokenizer.json is the whole tokenizer, and other readers of the file (tokenizers itself, servers in
#   Rust) go by it: the ids of one checkpoint's texts with a line break or two blanks then depend on who reads it, and
#   in transformers on the class that tokenizer_config.json names.
# Who it touches: rerankers on XLM-R (bge, jina v2, gte): scores of a served model and of a batch job differ.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3
"$work/venv/bin/python" - "$work" <<'PY'
import json
import sys
from pathlib import Path

import transformers
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer

special = dict(bos="<s>", eos="</s>", cls="<s>", sep="</s>", unk="<unk>", pad="<pad>", mask="<mask>")
pieces = ["<s>", "<pad>", "</s>", "<unk>", "\u2581", "\u2581a", "\u2581b", "\n", "<mask>"]
tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=3))
tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
texts = "a  b", "a\nb"


def through_transformers(name):
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {f"{role}_token": token for role, token in special.items()} | {"tokenizer_class": name}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    loaded = AutoTokenizer.from_pretrained(folder)
    return [loaded.tokenize(text) for text in texts]


print("transformers", transformers.__version__)
by_file = [tokenizer.encode(text, add_special_tokens=False).tokens for text in texts]
by_backend = through_transformers("PreTrainedTokenizerFast")
by_class = through_transformers("XLMRobertaTokenizer")
print("tokenizers:", by_file)
print("PreTrainedTokenizerFast:", by_backend)
print("expected: the same from XLMRobertaTokenizer; seen:", by_class)
sys.exit(0 if by_file == by_backend and by_class == [["\u2581a", "\u2581b"]] * 2 and by_file != by_class else 1)
PY
