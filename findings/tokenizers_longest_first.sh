#!/usr/bin/env bash
# What: longest_first truncation of a pair gives the odd token to another text in tokenizers 0.23.1 and 0.23.2.
# Versions: tokenizers 0.22.2 and 0.23.3 (to the longer text), 0.23.1 and 0.23.2 (to the second text).
# Why it surprises: two small releases change the tokens of a long pair, and the next changes them back. It takes a
#   second text that alone fills the limit and a first that is longer still; other pairs come out the same.
# Who it touches: cross-encoder scores of long pairs, compared between machines or over time.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for case in "0.22.2 3 2" "0.23.1 2 3" "0.23.2 2 3" "0.23.3 3 2"; do
    read -r version first second <<<"$case"
    python3.11 -m venv "$work/$version"
    "$work/$version/bin/pip" install -q --disable-pip-version-check "tokenizers==$version"
    "$work/$version/bin/python" - "$first" "$second" <<'PY'
import sys

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers

tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "b": 2}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.enable_truncation(5, strategy="longest_first")


def split(first: int, second: int) -> list[int]:
    tokens = tokenizer.encode(" ".join("a" * first), " ".join("b" * second)).tokens
    return [tokens.count("a"), tokens.count("b")]


print("tokenizers", tokenizers.__version__)
print("12 and 8 words cut to 5 tokens: expected [3, 2], seen", split(12, 8))
print("12 and 4 words cut to 5 tokens: expected [3, 2], seen", split(12, 4))
sys.exit(0 if split(12, 8) == [int(n) for n in sys.argv[1:]] and split(12, 4) == [3, 2] else 1)
PY
done
