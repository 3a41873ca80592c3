"""The sizes of published models that speed can be measured at, as their config.json on the hub has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from transforms.base.errors import UserError
from transforms.scoring.places import EMBEDDED


class Sizes(NamedTuple):
    """What a model's config.json says of its sizes.

    Attributes:
        config: fields of config.json.
        head: the kind of transformers' class that has it.
        dtype: of the weights on disk, as published.
        like: the entry of the catalogue to score by; None for a plain one-label classifier.
        further: names and shapes of weights that transformers' class does not have.
    """

    config: Mapping[str, Any]
    head: Literal["classifier", "causal"]
    dtype: Literal["float32", "bfloat16"]
    like: str | None = None
    further: Mapping[str, tuple[int, ...]] = {}


def _bert(layers: int, hidden: int, heads: int, **others: Any) -> dict[str, Any]:
    sizes = {"num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads}
    return {**sizes, "intermediate_size": 4 * hidden, "num_labels": 1, **others}


def _xlm_roberta(layers: int, hidden: int, heads: int, positions: int) -> dict[str, Any]:
    places = {"max_position_embeddings": positions, "vocab_size": 250_002, "type_vocab_size": 1, "pad_token_id": 1}
    return _bert(layers, hidden, heads, model_type="xlm-roberta", layer_norm_eps=1e-5, **places)


def _qwen(kind: str, layers: int, hidden: int, heads: int, shared: int, wide: int, **others: Any) -> dict[str, Any]:
    return {
        "model_type": kind,
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": shared,
        "intermediate_size": wide,
        "vocab_size": 151_936,
        "max_position_embeddings": 40_960,
        "tie_word_embeddings": True,
        "rms_norm_eps": 1e-6,
        **others,
    }


_QWEN3_SMALL = _qwen("qwen3", 28, 1024, 16, 8, 3072, head_dim=128)
SIZES: Mapping[str, Sizes] = {
    "cross-encoder/ms-marco-MiniLM-L12-v2": Sizes(
        _bert(12, 384, 12, model_type="bert", vocab_size=30_522), "classifier", "float32"
    ),
    "jinaai/jina-reranker-v2-base-multilingual": Sizes(_xlm_roberta(12, 768, 12, 1026), "classifier", "float32"),
    "BAAI/bge-reranker-v2-m3": Sizes(_xlm_roberta(24, 1024, 16, 8194), "classifier", "float32"),
    "Alibaba-NLP/gte-reranker-modernbert-base": Sizes(
        {
            **_bert(22, 768, 12, model_type="modernbert", vocab_size=50_368, pad_token_id=0),
            "intermediate_size": 1152,
            "max_position_embeddings": 8192,
            "classifier_pooling": "mean",
        },
        "classifier",
        "float32",
    ),
    "jinaai/jina-reranker-v3": Sizes(
        {**_QWEN3_SMALL, "max_position_embeddings": 131_072},
        "causal",
        "bfloat16",
        "jinaai/jina-reranker-v3",
        {"projector.0.weight": (512, 1024), "projector.2.weight": (512, 512)},
    ),
    "Qwen/Qwen3-Reranker-0.6B": Sizes(_QWEN3_SMALL, "causal", "bfloat16", "Qwen/Qwen3-Reranker-0.6B"),
    "Qwen/Qwen3-Reranker-4B": Sizes(
        _qwen("qwen3", 36, 2560, 32, 8, 9728, head_dim=128), "causal", "bfloat16", "Qwen/Qwen3-Reranker-4B"
    ),
    "mixedbread-ai/mxbai-rerank-base-v2": Sizes(
        _qwen("qwen2", 24, 896, 14, 2, 4864), "causal", "bfloat16", "mixedbread-ai/mxbai-rerank-base-v2"
    ),
    "mixedbread-ai/mxbai-rerank-large-v2": Sizes(
        _qwen("qwen2", 28, 1536, 12, 2, 8960), "causal", "bfloat16", "mixedbread-ai/mxbai-rerank-large-v2"
    ),
}


def sizes_of(name: str) -> Sizes:
    """A model's sizes.

    Raises:
        UserError: they are not known here.
    """
    if name not in SIZES:
        raise UserError(f"--model {name}: give the directory of a checkpoint, an embedded model, or {', '.join(SIZES)}")
    return SIZES[name]


def has_weights(name: str) -> bool:
    """Whether a model is here with its weights; of others the sizes are enough."""
    return name in EMBEDDED or Path(name).is_dir()
