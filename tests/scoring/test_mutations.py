"""Every key of a checkpoint's files, one at a time with another value: scores are the reference's, or it is refused.

The references are sentence-transformers and, under it, transformers. The keys of config.json are those of transformers'
own class; those of the other files are what the libraries write there, and what they read besides.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoConfig

from tests.support import tiny, tiny_encoder
from transforms.base.errors import UserError
from transforms.scoring import RankingTask, Reranker

LONG = "a b c d e f g h z y x w v u t s r q p o n m l k j i h g f e d"
DOCUMENTS = ["c", "d e f", "a A b Z", LONG]
QUERIES = ["a b", LONG]
TASKS = [RankingTask(query, DOCUMENTS) for query in QUERIES]
# Keys that the libraries read and tiny directories do not have, with the values that change nothing.
FURTHER: dict[str, dict[str, Any]] = {
    "config.json": {"is_causal": True},
    "tokenizer_config.json": {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 32,
        "padding_side": "right",
        "truncation_side": "right",
        "do_lower_case": False,
        "strip_accents": None,
        "add_prefix_space": False,
        "add_bos_token": False,
        "add_eos_token": False,
        "split_special_tokens": False,
        "clean_up_tokenization_spaces": False,
    },
    "config_sentence_transformers.json": {
        "prompts": {"query": "", "document": "", "classify": "b c "},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
        "truncate_dim": None,
    },
    "1_Pooling/config.json": {"include_prompt": True},
}
# Another valid value of a word; other kinds of values have theirs in `others`.
WORDS: dict[str, list[Any]] = {
    "hidden_act": ["relu"],
    "model_type": ["roberta"],
    "padding_side": ["left"],
    "truncation_side": ["left"],
    "tokenizer_class": ["BertTokenizer", "XLMRobertaTokenizer"],
    "default_prompt_name": ["classify"],
    "similarity_fn_name": ["dot", "euclidean"],
    "truncate_dim": [3, 100],
    "model_input_names": [["input_ids", "attention_mask"]],
    "layer_types": [["sliding_attention", "full_attention"]],
}


def others(key: str, value: Any) -> list[Any]:
    if key in WORDS:
        return WORDS[key]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, 2 * value]
    if isinstance(value, float):
        return [2 * value + 0.5, 100 * value]
    return [1, True, "relu"] if value is None else []


def cross_encoder(folder: Path) -> NDArray[np.float32]:
    model = CrossEncoder(str(folder), device="cpu", local_files_only=True, activation_fn=torch.nn.Identity())
    return np.array([model.predict([(query, text)])[0] for query in QUERIES for text in DOCUMENTS])


def encoder(folder: Path) -> NDArray[np.float32]:
    model: Any = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    prompts = {"prompt_name": model.default_prompt_name} if model.default_prompt_name else {"prompt": ""}
    queries, documents = (model.encode(texts, **prompts) for texts in (QUERIES, DOCUMENTS))
    return np.asarray(model.similarity(queries, documents)).reshape(-1)


def ours(folder: Path) -> NDArray[np.float32]:
    return Reranker.load(str(folder), device="cpu", dtype="float32").score_tasks(TASKS).score


def mutants(folder: Path) -> Iterator[tuple[str, str, Any]]:
    """File, key and another value."""
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.json")}
    for file in sorted(files - {"tokenizer.json", "modules.json"}):
        found = tiny.read(folder / file)
        known = AutoConfig.from_pretrained(folder).to_dict() if file == "config.json" else {}
        for key, value in (FURTHER.get(file, {}) | known | found).items():
            for other in others(key, value):
                yield file, key, other


@pytest.mark.parametrize(
    ("make", "reference", "padding"),
    [
        (tiny.bert, cross_encoder, "[PAD]"),
        (tiny.xlm_roberta, cross_encoder, "<pad>"),
        (tiny_encoder.bert, encoder, "[PAD]"),
        (tiny_encoder.xlm_roberta, encoder, "<pad>"),
        (tiny_encoder.qwen3, encoder, None),
    ],
    ids=["bert", "xlm_roberta", "bert_encoder", "xlm_roberta_encoder", "qwen3_encoder"],
)
def test_a_key_with_another_value_is_followed_or_refused(
    tmp_path: Path,
    make: Callable[[Path], Path],
    reference: Callable[[Path], NDArray[np.float32]],
    padding: str | None,
) -> None:
    original = tmp_path / "original"
    make(original)
    if padding is not None:
        tiny.change(original / "tokenizer_config.json", pad_token=padding, model_max_length=32)
    if reference is encoder:
        tiny.write(original / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
    unchanged = reference(original)
    np.testing.assert_allclose(ours(original), unchanged, atol=1e-5)
    counts: Counter[str] = Counter()
    wrong = []
    for number, (file, key, value) in enumerate(mutants(original)):
        folder = Path(shutil.copytree(original, tmp_path / str(number)))
        content = tiny.read(folder / file) if (folder / file).exists() else {}
        tiny.write(folder / file, content | {key: value})
        try:
            scores = ours(folder)
        except UserError:
            counts["refused"] += 1
            continue
        except Exception as error:
            wrong.append(f"{file} {key} {value!r}: {error!r}")
            continue
        try:
            expected = reference(folder)
        except Exception:
            counts["refused by the reference alone"] += 1
            continue
        if not np.allclose(scores, expected, atol=1e-5):
            wrong.append(f"{file} {key} {value!r}: {abs(scores - expected).max():.1e}")
        counts["without effect" if np.allclose(expected, unchanged, atol=1e-5) else "followed"] += 1
    print(dict(counts))
    assert wrong == []
