"""Sentence-transformers directories of a few kilobytes with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import (
    BertConfig,
    BertModel,
    PreTrainedModel,
    Qwen3Config,
    Qwen3Model,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from tests.support import tiny, tiny_causal

MODULES = ("Transformer", "Pooling", "Normalize")


def bert(folder: Path, pooling: str = "mean", layers: int = 2) -> Path:
    """A BERT of 32 places with `[CLS] text [SEP]`; letters are ids 4 to 29."""
    tiny.bert(folder)
    sizes = {key: value for key, value in tiny.SIZES.items() if key != "num_labels"}
    sizes |= {"num_hidden_layers": layers}
    return save(folder, BertModel(BertConfig(vocab_size=30, max_position_embeddings=32, **sizes)), pooling, "[PAD]")


def xlm_roberta(folder: Path, pooling: str = "mean", layers: int = 2) -> Path:
    """An XLM-R of 32 places with `<s> text </s>`; letters are ids 4 to 29."""
    tiny.xlm_roberta(folder)
    sizes = {key: value for key, value in tiny.SIZES.items() if key != "num_labels"}
    sizes |= {"num_hidden_layers": layers}
    config = XLMRobertaConfig(vocab_size=30, max_position_embeddings=34, type_vocab_size=1, **sizes)
    return save(folder, XLMRobertaModel(config), pooling, "<pad>")


def qwen3(folder: Path, pooling: str = "lasttoken") -> Path:
    """A Qwen3 whose tokens are characters, without special ones."""
    tiny_causal.tokenizer().save_pretrained(folder)
    return save(folder, Qwen3Model(Qwen3Config(**tiny_causal.SIZES, head_dim=8)), pooling, tiny_causal.UNKNOWN)


def save(folder: Path, model: PreTrainedModel, pooling: str, padding: str) -> Path:
    """The model beside its tokenizer, and what sentence-transformers writes with it."""
    tiny_causal.randomise(model).save_pretrained(folder)
    tiny.change(folder / "tokenizer_config.json", pad_token=padding)  # sentence-transformers' own code pads
    modules: list[dict[str, Any]] = [
        {"idx": i, "name": str(i), "path": f"{i}_{name}" if i else "", "type": f"sentence_transformers.models.{name}"}
        for i, name in enumerate(MODULES)
    ]
    tiny.write(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir()
    flags = {"cls": "cls_token", "mean": "mean_tokens", "lasttoken": "lasttoken", "max": "max_tokens"}
    described = {f"pooling_mode_{flag}": name == pooling for name, flag in flags.items()}
    tiny.write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": model.config.hidden_size} | described)
    tiny.write(folder / "sentence_bert_config.json", {"max_seq_length": 24, "do_lower_case": False})
    return folder
