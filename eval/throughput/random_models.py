"""Checkpoints with random weights at the real sizes of published models: for speed, where weights matter no more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers.processors import Sequence
from transformers import AutoModelForCausalLM as CausalLM
from transformers import AutoModelForSequenceClassification as Classifier
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import AutoConfig

from eval.throughput.sizes import Sizes, sizes_of
from transforms.base import hub
from transforms.base.errors import UserError
from transforms.scoring.families.listwise_prompt import DOCUMENT_TOKEN, QUERY_TOKEN
from transforms.scoring.weights import checkpoints

TOKENIZER = "small-cross-encoder"  # whose texts are tokenised by, where no other tokenizer is named
TOKENIZER_FILES = ("tokenizer*.json", "special_tokens_map.json", "added_tokens.json")
SPECIAL = ("<|im_start|>", "<|im_end|>", "<think>", "</think>", DOCUMENT_TOKEN, QUERY_TOKEN)  # of Qwen's tokenizers
STANDARD_DEVIATION = 0.02
HEADS = {"classifier": Classifier, "causal": CausalLM}


def make(name: str, folder: Path, tokenizer_name: str | None = None) -> Sizes:
    """Write a checkpoint of this model's sizes into a folder.

    Args:
        name: a key of `sizes.SIZES`.
        folder: for the checkpoint.
        tokenizer_name: directory or hub id of its tokenizer; None for the embedded model's.

    Raises:
        UserError: as `sizes_of`, or the tokenizer is unavailable.
    """
    sizes = sizes_of(name)
    folder.mkdir(parents=True, exist_ok=True)
    config = AutoConfig.for_model(**sizes.config)
    with torch.device("meta"):
        model: PreTrainedModel = HEADS[sizes.head].from_config(config)
    dtype: torch.dtype = getattr(torch, sizes.dtype)
    torch.manual_seed(0)
    tensors = {
        key: _random(key, tuple(tensor.shape), dtype)
        for key, tensor in model.state_dict().items()
        if key not in model.all_tied_weights_keys
    }
    tensors |= {key: _random(key, shape, dtype) for key, shape in sizes.further.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    described = {**sizes.config, "architectures": [type(model).__name__], "dtype": sizes.dtype}
    (folder / "config.json").write_text(json.dumps(described), encoding="utf-8")
    # RoBERTa's first two rows of positions belong to padding.
    longest = config.max_position_embeddings - (2 if config.model_type == "xlm-roberta" else 0)
    typed = getattr(config, "type_vocab_size", 1) > 1
    if tokenizer_name is None:
        tokenizer(longest, typed=typed, prompts=sizes.head == "causal").save_pretrained(folder)
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
