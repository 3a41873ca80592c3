#!/usr/bin/env bash
# What: of two added tokens that the normalizer makes one text, either may be found, and which differs from load to load.
# Version: tokenizers 0.23.3.
# Why it surprises: one tokenizer.json gives other ids from one process to the next, and within one process too.
# Who it touches: scores of models whose added tokens differ in case alone, under a normalizer that lowers it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check tokenizers==0.23.3
"$work/venv/bin/python" - <<'PY'
import sys

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

made = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "yes": 2, "Yes": 3}, unk_token="[UNK]"))
made.normalizer = normalizers.Lowercase()
made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
made.add_tokens([AddedToken("yes", normalized=True), AddedToken("Yes", normalized=True)])
saved = made.to_str()
seen = [Tokenizer.from_str(saved).encode("a yes").ids[-1] for _ in range(200)]
print("tokenizers", tokenizers.__version__, "loads one file 200 times and encodes one text")
print("expected: one id; seen:", {id_: seen.count(id_) for id_ in sorted(set(seen))})
sys.exit(0 if set(seen) == {2, 3} else 1)
PY
