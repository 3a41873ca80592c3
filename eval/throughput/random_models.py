"""Checkpoints with random weights at the real sizes of published models: for speed, where weights matter no more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from tokenizers.processors import Sequence
from transformers import AutoModelForCausalLM as CausalLM
from transformers import AutoModelForSequenceClassification as Classifier
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import AutoConfig

from transforms.base import hub
from transforms.base.errors import UserError
from transforms.scoring.families.listwise_prompt import DOCUMENT_TOKEN, QUERY_TOKEN
from transforms.scoring.weights import checkpoints

TOKENIZER = "small-cross-encoder"  # whose texts are tokenised by, where no other tokenizer is named
TOKENIZER_FILES = ("tokenizer*.json", "special_tokens_map.json", "added_tokens.json")
SPECIAL = ("<|im_start|>", "<|im_end|>", "<think>", "</think>", DOCUMENT_TOKEN, QUERY_TOKEN)  # of Qwen's tokenizers
STANDARD_DEVIATION = 0.02


class Sizes(NamedTuple):
    """What a model's config.json says of its sizes.

    Attributes:
        config: fields of config.json.
        head: transformers' class with the head.
        dtype: of the weights on disk, as published.
        like: the entry of the catalogue to score by; None for a plain one-label classifier.
        further: names and shapes of weights that transformers' class does not have.
    """

    config: Mapping[str, Any]
    head: Any
    dtype: torch.dtype
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
# The sizes are those of each model's config.json on the hub.
SIZES: Mapping[str, Sizes] = {
    "cross-encoder/ms-marco-MiniLM-L12-v2": Sizes(
        _bert(12, 384, 12, model_type="bert", vocab_size=30_522), Classifier, torch.float32
    ),
    "jinaai/jina-reranker-v2-base-multilingual": Sizes(_xlm_roberta(12, 768, 12, 1026), Classifier, torch.float32),
    "BAAI/bge-reranker-v2-m3": Sizes(_xlm_roberta(24, 1024, 16, 8194), Classifier, torch.float32),
    "Alibaba-NLP/gte-reranker-modernbert-base": Sizes(
        {
            **_bert(22, 768, 12, model_type="modernbert", vocab_size=50_368, pad_token_id=0),
            "intermediate_size": 1152,
            "max_position_embeddings": 8192,
            "classifier_pooling": "mean",
        },
        Classifier,
        torch.float32,
    ),
    "jinaai/jina-reranker-v3": Sizes(
        {**_QWEN3_SMALL, "max_position_embeddings": 131_072},
        CausalLM,
        torch.bfloat16,
        "jinaai/jina-reranker-v3",
        {"projector.0.weight": (512, 1024), "projector.2.weight": (512, 512)},
    ),
    "Qwen/Qwen3-Reranker-0.6B": Sizes(_QWEN3_SMALL, CausalLM, torch.bfloat16, "Qwen/Qwen3-Reranker-0.6B"),
    "Qwen/Qwen3-Reranker-4B": Sizes(
        _qwen("qwen3", 36, 2560, 32, 8, 9728, head_dim=128), CausalLM, torch.bfloat16, "Qwen/Qwen3-Reranker-4B"
    ),
    "mixedbread-ai/mxbai-rerank-base-v2": Sizes(
        _qwen("qwen2", 24, 896, 14, 2, 4864), CausalLM, torch.bfloat16, "mixedbread-ai/mxbai-rerank-base-v2"
    ),
    "mixedbread-ai/mxbai-rerank-large-v2": Sizes(
        _qwen("qwen2", 28, 1536, 12, 2, 8960), CausalLM, torch.bfloat16, "mixedbread-ai/mxbai-rerank-large-v2"
    ),
}


def make(name: str, folder: Path, tokenizer_name: str | None = None) -> Sizes:
    """Write a checkpoint of this model's sizes into a folder.

    Args:
        name: a key of SIZES.
        folder: for the checkpoint.
        tokenizer_name: directory or hub id of its tokenizer; None for the embedded model's.

    Raises:
        UserError: the sizes of the model are not known here, or the tokenizer is unavailable.
    """
    if name not in SIZES:
        raise UserError(f"--model {name}: give the directory of a checkpoint, an embedded model, or {', '.join(SIZES)}")
    sizes = SIZES[name]
    folder.mkdir(parents=True, exist_ok=True)
    config = AutoConfig.for_model(**sizes.config)
    with torch.device("meta"):
        model: PreTrainedModel = sizes.head.from_config(config)
    torch.manual_seed(0)
    tensors = {
        key: _random(key, tuple(tensor.shape), sizes.dtype)
        for key, tensor in model.state_dict().items()
        if key not in model.all_tied_weights_keys
    }
    tensors |= {key: _random(key, shape, sizes.dtype) for key, shape in sizes.further.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    described = {**sizes.config, "architectures": [type(model).__name__], "dtype": str(sizes.dtype).split(".")[1]}
    (folder / "config.json").write_text(json.dumps(described), encoding="utf-8")
    # RoBERTa's first two rows of positions belong to padding.
    longest = config.max_position_embeddings - (2 if config.model_type == "xlm-roberta" else 0)
    typed = getattr(config, "type_vocab_size", 1) > 1
    if tokenizer_name is None:
        tokenizer(longest, typed=typed, prompts=sizes.head is CausalLM).save_pretrained(folder)
    else:
        copy_tokenizer(tokenizer_name, folder)
    return sizes


def copy_tokenizer(name: str, folder: Path) -> None:
    """Copy the files of a tokenizer into a folder.

    Args:
        name: a directory or a hub id.
        folder: where to.

    Raises:
        UserError: it is unavailable.
    """
    if not (source := Path(name)).is_dir():
        source, _ = hub.fetch(name, None, TOKENIZER_FILES)
    if not (source / "tokenizer.json").is_file():
        raise UserError(f"--tokenizer {name}: no tokenizer.json in it; give a directory or hub id that has one")
    for pattern in TOKENIZER_FILES:
        for file in source.glob(pattern):
            shutil.copyfile(file, folder / file.name)


def tokenizer(longest: int, *, typed: bool = True, prompts: bool = False) -> PreTrainedTokenizerFast:
    """The embedded model's, with the limit and the special tokens of the model that it stands in for.

    Args:
        longest: tokens that the model reads at once.
        typed: whether the model is given token types.
        prompts: whether it reads prompts as Qwen's models do, which add nothing to a text.
    """
    own = AutoTokenizer.from_pretrained(checkpoints.locate(TOKENIZER).directory)
    made = PreTrainedTokenizerFast(
        tokenizer_object=own.backend_tokenizer,
        model_max_length=longest,
        model_input_names=["input_ids", *["token_type_ids"] * typed, "attention_mask"],
        pad_token=own.pad_token,
        unk_token=own.unk_token,
    )
    if prompts:
        made.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
        made.backend_tokenizer.post_processor = Sequence([])
    return made


def _random(key: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Weights as a model has them before it is trained, so that nothing overflows."""
    fill: Callable[[torch.Tensor], torch.Tensor] = (
        torch.nn.init.ones_ if "norm" in key.lower() and key.endswith("weight") else _normal
    )
    return fill(torch.empty(shape, dtype=dtype))


def _normal(tensor: torch.Tensor) -> torch.Tensor:
    return torch.nn.init.normal_(tensor, std=STANDARD_DEVIATION)
