#!/usr/bin/env bash
# What: a passage with "title": "" is read as its text after a space; one without a title as its text.
# Version: tevatron 0.1.0 (the one on PyPI), transformers 5.23.0.
# Why it surprises: no title and an empty title mean the same, and the space changes token ids wherever a tokenizer knows
#   spaces, the first token of every such passage.
# Who it touches: training data whose rows all have a title, as data frames and Parquet write them: a model is trained on
#   other ids than those that it is later asked with.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check transformers==5.23.0
"$work/venv/bin/pip" install -q --disable-pip-version-check --no-deps tevatron==0.1.0
"$work/venv/bin/python" - <<'PY'
import importlib.util
import sys
from importlib.metadata import distribution

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

# The file alone: the package around it imports torch.
path = distribution("tevatron").locate_file("tevatron/datasets/preprocessor.py")
specification = importlib.util.spec_from_file_location("preprocessor", path)
preprocessor = importlib.util.module_from_spec(specification)
specification.loader.exec_module(preprocessor)

backend = Tokenizer(models.BPE())
backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # as RoBERTa, Qwen and ModernBERT have it
backend.train_from_iterator(
    ["Paris is Paris"] * 9, trainers.BpeTrainer(show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
)
tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend)
read = preprocessor.TrainPreProcessor(tokenizer)
row = {
    "query": "Paris",
    "positive_passages": [{"text": "Paris"}, {"title": "", "text": "Paris"}],
    "negative_passages": [],
}
plain, empty = (tokenizer.convert_ids_to_tokens(ids) for ids in read(row)["positives"])
print("tevatron", distribution("tevatron").version)
print("expected: the same tokens; seen:", plain, "and", empty)
sys.exit(0 if plain != empty and "".join(empty) == "\u0120" + "".join(plain) else 1)
PY
