"""jina-embeddings-v3 as its vendor stores it: XLM-RoBERTa with rotary positions, and low-rank adapters for each task.

Transformers has the architecture as jina_embeddings_v3, without the adapters; here one of them is added to the weights,
which is how they are defined. Source: the vendor's xlm-roberta-flash-implementation, modeling_lora.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import JinaEmbeddingsV3Config

from transforms.base.errors import UserError
from transforms.scoring.weights.checkpoint import Checkpoint, Tensors

WEIGHT, FIRST, SECOND = (f".parametrizations.weight.{part}" for part in ("original", "0.lora_A", "0.lora_B"))
NAMES = (
    ("emb_ln.", "embeddings.LayerNorm."),
    ("encoder.layers.", "layers."),
    (".mixer.out_proj.", ".self_attn.o_proj."),
    (".norm1.", ".post_attention_layernorm."),
    (".norm2.", ".post_mlp_layernorm."),
)
SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
    "pad_token_id",
)


def is_original(config: Mapping[str, Any]) -> bool:
    """Whether config.json is the vendor's own, which calls the model an XLM-RoBERTa."""
    return config.get("position_embedding_type") == "rotary" and "rotary_emb_base" in config


def config_of(described: Mapping[str, Any]) -> JinaEmbeddingsV3Config:
    """Transformers' configuration from the vendor's."""
    rope = {"rope_type": "default", "rope_theta": described["rotary_emb_base"]}
    return JinaEmbeddingsV3Config(**{key: described[key] for key in SIZES if key in described}, rope_parameters=rope)


def with_adapter(checkpoint: Checkpoint, tensors: Tensors, adapter: str) -> Tensors:
    """The weights with one of the adapters added, in float32, under transformers' names.

    An adapter adds scaling * B @ A to a matrix of a linear layer, and scaling * A @ B to a table of embeddings.

    Raises:
        UserError: there is no such adapter, or its weights are missing.
    """
    config = checkpoint.config
    try:
        index = list(config["lora_adaptations"]).index(adapter)
        scaling = config["lora_alpha"] / config["lora_rank"]
        merged: Tensors = {}
        for key, tensor in tensors.items():
            name = key.removesuffix(WEIGHT)
            if name != key:
                first, second = tensors[name + FIRST][index].float(), tensors[name + SECOND][index].float()
                change = first @ second if ".embeddings." in name else second @ first
                merged[f"{name}.weight"] = tensor.float() + scaling * change
            elif ".parametrizations." not in key:
                merged[key] = tensor
    except (KeyError, IndexError, ValueError, TypeError, ZeroDivisionError) as error:
        raise UserError(
            f"model {checkpoint.name}: its files hold no adapter {adapter} ({error}); fetch it again"
        ) from error
    return transformers_names(merged)


def transformers_names(tensors: Tensors) -> Tensors:
    """The vendor's weights under the names of transformers' jina_embeddings_v3, fused projections split."""
    renamed: Tensors = {}
    for key, tensor in tensors.items():
        for theirs, ours in NAMES:
            key = key.replace(theirs, ours)
        if ".mixer.Wqkv." in key:  # rows: all of the queries', then all of the keys', then all of the values'
            for name, part in zip("qkv", tensor.chunk(3), strict=False):
                renamed[key.replace(".mixer.Wqkv.", f".self_attn.{name}_proj.")] = part.contiguous()
        else:
            renamed[key] = tensor
    return renamed
