"""A cross-encoder of several modules with random weights; apart, since its library is slow to import."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
from transformers import ModernBertConfig, ModernBertModel

from tests.support.tiny import change, modern_bert


def modular_cross_encoder(folder: Path, pooling: str = "cls", **fields: object) -> Path:
    """A CrossEncoder of modules as Ettin's, saved by sentence-transformers; `fields` as of `modern_bert`."""
    classifier = modern_bert(folder / "classifier", **fields)
    model = ModernBertModel(ModernBertConfig.from_pretrained(classifier))
    model.load_state_dict(
        {
            name.removeprefix("model."): tensor
            for name, tensor in load_file(classifier / "model.safetensors").items()
            if name.startswith("model.")
        }
    )
    model.save_pretrained(classifier)
    change(classifier / "tokenizer_config.json", pad_token="[PAD]", model_max_length=96)
    change(classifier / "tokenizer_config.json", model_input_names=["input_ids", "attention_mask"])
    torch.manual_seed(1)
    modules = [
        Transformer(str(classifier)),
        Pooling(8, pooling_mode=pooling),
        Dense(8, 8, bias=False, activation_function=torch.nn.GELU()),
        LayerNorm(8),
        Dense(8, 1, activation_function=torch.nn.Identity(), module_output_name="scores"),
    ]
    torch.nn.init.normal_(modules[3].norm.weight)
    CrossEncoder(modules=modules).save_pretrained(str(folder / "modular"))
    return folder / "modular"
