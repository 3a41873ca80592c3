"""A listwise checkpoint of a few kilobytes with random weights, and a plain computation of its scores.

Its tokens are bytes, and a few pairs of bytes, so that texts can join where they meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Split
from tokenizers.pre_tokenizers import Sequence as Steps
from transformers import Qwen3Config, Qwen3Model

from tests.support.tiny import write

QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = sorted(ByteLevel.alphabet())
MERGES = [("Ċ", "Ċ"), ("Ċ", "a"), (">", "Ċ"), ('"', ">Ċ"), ('"', ">"), ('">', "ĊĊ"), ("Ġ", "a"), ("a", "b"), ("Ġ", "Ġ")]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<think>", "</think>", "<|embed_token|>", "<|rerank_token|>"]
SPECIAL_IDS = {token: len(BYTES) + len(MERGES) + i for i, token in enumerate(SPECIAL)}
WIDTH = 6


def tokenizer(words: str = QWEN_WORDS) -> Tokenizer:
    """Byte-level, with Qwen's way of splitting text into words unless another is given."""
    vocabulary = [*BYTES, *map("".join, MERGES)]
    backend = Tokenizer(BPE({token: i for i, token in enumerate(vocabulary)}, MERGES))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = Steps([Split(Regex(words), "isolated"), ByteLevel(add_prefix_space=False, use_regex=False)])
    backend.decoder = decoders.ByteLevel()
    backend.add_tokens([AddedToken(token, normalized=False) for token in SPECIAL])
    return backend


def checkpoint(
    folder: Path,
    prefix: str = "model.",
    words: str = QWEN_WORDS,
    head_size: int = 4,
    scale: float = 0.5,
    **fields: object,
) -> Path:
    """A Qwen3 with a projector in the layout of jina-reranker-v3; `fields` are put into its config.json."""
    config = Qwen3Config(
        vocab_size=len(BYTES) + len(MERGES) + len(SPECIAL),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=head_size,
        intermediate_size=24,
        max_position_embeddings=32_768,
    )
    torch.manual_seed(0)
    tensors = {
        f"{prefix}{key}": torch.randn(tensor.shape) * scale for key, tensor in Qwen3Model(config).state_dict().items()
    }
    tensors |= {"projector.0.weight": torch.randn(12, 16), "projector.2.weight": torch.randn(WIDTH, 12)}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    write(folder / "config.json", config.to_dict() | {"architectures": ["JinaForRanking"]} | fields)
    tokenizer(words).save(str(folder / "tokenizer.json"))
    write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 30_000})
    return folder


def windowed(folder: Path, window: int, **fields: object) -> Path:
    """The same in the layout of jina-reranker-v3.5: in the second of its two layers a token sees a window."""
    kinds = ["full_attention", "sliding_attention"]
    return checkpoint(folder, layer_types=kinds, sliding_window=window, use_sliding_window=True, **fields)  # type: ignore[arg-type]


def prompt(query: str, documents: Sequence[str], instruction: str = "", mark: str = "") -> str:
    """The prompt, written out; v3.5's has a mark after the query in its first line too."""
    passages = "".join(f'<passage id="{i}">\n{text}<|embed_token|>\n</passage>\n' for i, text in enumerate(documents))
    return (
        "<|im_start|>system\nYou are a search relevance expert who can determine a ranking of the passages based on "
        "how relevant they are to the query. If the query is a question, how relevant a passage is depends on how well "
        "it answers the question. If not, try to analyze the intent of the query and assess how well each passage "
        "satisfies the intent. If an instruction is provided, you should follow the instruction when determining the "
        "ranking.<|im_end|>\n<|im_start|>user\n"
        f"I will provide you with {len(documents)} passages, each indicated by a numerical identifier. Rank the "
        f"passages based on their relevance to query: {query}{mark}\n{instruction}{passages}"
        f"<query>\n{query}<|rerank_token|>\n</query>"
        "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )


def embeddings(folder: Path, text: str) -> NDArray[np.float32]:
    """Of the documents and, last, of the query of one prompt: transformers' own attention, one prompt at a time."""
    tensors = load_file(folder / "model.safetensors")
    model = Qwen3Model(Qwen3Config.from_pretrained(folder, attn_implementation="eager")).eval()
    model.load_state_dict(
        {key.removeprefix("model."): tensor for key, tensor in tensors.items() if "proj" not in key[:5]}
    )
    ids = torch.tensor(Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids)
    read = [
        *(ids == SPECIAL_IDS["<|embed_token|>"]).nonzero(),
        *(ids == SPECIAL_IDS["<|rerank_token|>"]).nonzero()[-1:],
    ]
    with torch.no_grad():
        hidden = model(ids[None]).last_hidden_state[0, torch.cat(read)]
    projected = torch.relu(hidden @ tensors["projector.0.weight"].T) @ tensors["projector.2.weight"].T
    return np.asarray(projected)


def scores(rows: NDArray[np.float32], query: NDArray[np.float32] | None = None) -> list[float]:
    """Cosines of the documents with the query, which is the last row unless another is given."""
    query = rows[-1] if query is None else query
    return [float(row @ query / np.linalg.norm(row) / np.linalg.norm(query)) for row in rows[:-1]]
