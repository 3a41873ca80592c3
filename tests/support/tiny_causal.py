"""Causal language models of a few kilobytes with random weights, whose tokens are characters."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any, TypeVar

import torch
from tokenizers import Regex, Tokenizer
from tokenizers.decoders import Fuse
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

Model = TypeVar("Model", bound=PreTrainedModel)

UNKNOWN = "¿"
CHARACTERS = [UNKNOWN, *string.printable]
ANSWERS = ["no", "yes", "Yes"]
SIZES: dict[str, Any] = {
    "vocab_size": len(CHARACTERS) + len(ANSWERS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 16384,
}


def tokenizer() -> PreTrainedTokenizerFast:
    """A token for each character, and one for each answer."""
    backend = Tokenizer(WordLevel({character: i for i, character in enumerate(CHARACTERS)}, unk_token=UNKNOWN))
    backend.pre_tokenizer = Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = Fuse()
    backend.add_tokens(ANSWERS)
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def text_of(ids: Any) -> str:
    """The characters that the ids stand for."""
    return "".join([*CHARACTERS, *ANSWERS][i] for i in ids)


def qwen3(folder: Path, **fields: Any) -> Path:
    """A Qwen3 with tied embeddings, unless the fields of its configuration say otherwise."""
    return save(folder, Qwen3ForCausalLM(Qwen3Config(**SIZES | {"head_dim": 8, "tie_word_embeddings": True} | fields)))


def qwen2(folder: Path, **fields: Any) -> Path:
    """A Qwen2 with tied embeddings, unless the fields of its configuration say otherwise."""
    return save(folder, Qwen2ForCausalLM(Qwen2Config(**SIZES | {"tie_word_embeddings": True} | fields)))


def save(folder: Path, model: PreTrainedModel) -> Path:
    """The model with random weights, and the tokenizer."""
    randomise(model).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def randomise(model: Model) -> Model:
    """The model with weights large enough for scores that differ; a random normalisation would make all alike."""
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "norm" not in name.lower():
            torch.nn.init.normal_(parameter, std=0.5)
    model.train(False)
    return model
