"""Checkpoints of a few kilobytes with random weights, in the layout of real ones."""

from __future__ import annotations

import json
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

SIZES: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "num_labels": 1,
}


def bert(folder: Path) -> Path:
    """A BERT of 32 places: `[CLS] query [SEP] document [SEP]`, letters are ids 4 to 29, [PAD] 0, [UNK] 1."""
    config = BertConfig(vocab_size=30, max_position_embeddings=32, **SIZES)
    special = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}
    template = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return _save(folder, BertForSequenceClassification(config), special, "[UNK]", template)


def modern_bert(folder: Path, **fields: object) -> Path:
    """A ModernBERT of 96 places: `[CLS] query [SEP] document [SEP]`, letters as in `bert`; windows of 4 on each side.

    Args:
        folder: where it goes.
        fields: of its configuration.
    """
    config = ModernBertConfig(
        **{
            **SIZES,
            "vocab_size": 30,
            "num_hidden_layers": 5,
            "max_position_embeddings": 96,
            "local_attention": 8,
            "pad_token_id": 0,
            **fields,
        }
    )
    special = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}
    template = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return _save(folder, ModernBertForSequenceClassification(config), special, "[UNK]", template)


def xlm_roberta(folder: Path) -> Path:
    """An XLM-R of 32 places: `<s> query </s></s> document </s>`, letters are ids 4 to 29, <pad> 1, <unk> 3."""
    config = XLMRobertaConfig(vocab_size=30, max_position_embeddings=34, type_vocab_size=1, **SIZES)
    special = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    template = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return _save(folder, XLMRobertaForSequenceClassification(config), special, "<unk>", template)


def _save(
    folder: Path, model: PreTrainedModel, special: dict[str, int], unknown: str, template: TemplateProcessing
) -> Path:
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    model.save_pretrained(folder)
    tokenizer = Tokenizer(
        WordLevel(special | {letter: 4 + i for i, letter in enumerate(ascii_lowercase)}, unk_token=unknown)
    )
    tokenizer.add_special_tokens(list(special))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = template
    tokenizer.save(str(folder / "tokenizer.json"))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": inputs})
    return folder


def parsed(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def read(path: Path) -> dict[str, Any]:
    return dict(parsed(path))


def write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def change(path: Path, **fields: object) -> None:
    """Set fields of a JSON file; None takes one away."""
    content = read(path) | fields
    write(path, {key: value for key, value in content.items() if value is not None})
