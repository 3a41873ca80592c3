"""Checkpoints that jina stores in layouts of its own: how they are recognised, and transformers' names for them.

jina-reranker-v2 is an XLM-RoBERTa with the names of its modeling_xlm_roberta.py.

jina-embeddings-v3 is one with rotary positions, and low-rank adapters for each task. Transformers has the architecture
as jina_embeddings_v3, without the adapters; here one of them is added to the weights, which is how they are defined.
Source: the vendor's xlm-roberta-flash-implementation, modeling_lora.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from transformers import JinaEmbeddingsV3Config

from transforms.base.errors import UserError
from transforms.scoring.weights.checkpoints import Checkpoint, Tensors

WEIGHT, FIRST, SECOND = (f".parametrizations.weight.{part}" for part in ("original", "0.lora_A", "0.lora_B"))
FUSED = ".mixer.Wqkv."  # rows: all of the queries', then all of the keys', then all of the values'


class WeightNames(NamedTuple):
    """What transformers calls a layout's weights.

    Attributes:
        parts: of names, the vendor's and transformers'; each is replaced in turn.
        projections: the part of the fused projections' names, for queries, keys and values.
    """

    parts: tuple[tuple[str, str], ...]
    projections: tuple[str, str, str]


RERANKER_V2 = WeightNames(
    (
        ("roberta.emb_ln.", "roberta.embeddings.LayerNorm."),
        ("roberta.encoder.layers.", "roberta.encoder.layer."),
        (".mixer.out_proj.", ".attention.output.dense."),
        (".norm1.", ".attention.output.LayerNorm."),
        (".mlp.fc1.", ".intermediate.dense."),
        (".mlp.fc2.", ".output.dense."),
        (".norm2.", ".output.LayerNorm."),
    ),
    (".attention.self.query.", ".attention.self.key.", ".attention.self.value."),
)
EMBEDDINGS_V3 = WeightNames(
    (
        ("emb_ln.", "embeddings.LayerNorm."),
        ("encoder.layers.", "layers."),
        (".mixer.out_proj.", ".self_attn.o_proj."),
        (".norm1.", ".post_attention_layernorm."),
        (".norm2.", ".post_mlp_layernorm."),
    ),
    (".self_attn.q_proj.", ".self_attn.k_proj.", ".self_attn.v_proj."),
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


def kind_of(config: Mapping[str, Any]) -> str | None:
    """The `model_type` that transformers has for the contents of config.json, where they are a vendor's own.

    That of jina-embeddings-v3 calls the model an XLM-RoBERTa; that of jina-reranker-v2 has no model_type, only the
    names of its remote code.
    """
    if config.get("position_embedding_type") == "rotary" and "rotary_emb_base" in config:
        return "jina_embeddings_v3"
    if not config.get("model_type") and "XLMRobertaFlashConfig" in str(config.get("auto_map", "")):
        return "xlm-roberta"
    return None


def embeddings_v3_config(described: Mapping[str, Any]) -> JinaEmbeddingsV3Config:
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
    return transformers_names(merged, EMBEDDINGS_V3)


def transformers_names(tensors: Tensors, names: WeightNames) -> Tensors:
    """A layout's weights under transformers' names, fused projections split; others stay as they are."""
    renamed: Tensors = {}
    for key, tensor in tensors.items():
        for theirs, ours in names.parts:
            key = key.replace(theirs, ours)
        if FUSED in key:
            for projection, part in zip(names.projections, tensor.chunk(3), strict=False):
                renamed[key.replace(FUSED, projection)] = part.contiguous()
        else:
            renamed[key] = tensor
    return renamed
