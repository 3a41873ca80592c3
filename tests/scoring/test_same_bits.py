"""A score is the same to the last bit whatever else is scored beside it, at the widths of published models."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from eval.throughput import random_models, sizes
from tests.scoring.families.test_m0 import m0
from tests.support import tiny_encoder, tiny_listwise, tiny_modular
from transforms.scoring import RankingTask, Reranker

DATA = Path(__file__).parents[1] / "data"
WORDS = [
    RankingTask("a b", [" ".join("cdefghijklmnop"[:length]) for length in range(1, 13)]),
    RankingTask("q r s", [" ".join("tuvwxyzabcdef"[length:]) for length in range(1, 13)]),
]
WIDTHS = [name for name, each in sizes.SIZES.items() if each.config["hidden_size"] <= 1024]
# Of documents in turn; for ModernBERT one that is longer than its window of 129 tokens stands between two that are not.
LETTERS = {"Alibaba-NLP/gte-reranker-modernbert-base": (160, 800)}
BUDGETS = (256, 2048, 65_536)
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="it needs a CUDA device")),
]


def lists_of(documents: int, *letters: int) -> list[RankingTask]:
    """Three queries, each with so many beginnings of abstracts, as long as the numbers in turn."""
    rows = pq.read_table(DATA / "scifact_10x30.parquet").slice(0, 3).to_pylist()
    texts = [
        [candidate["text"][:long] for candidate, long in zip(row["candidates"][:documents], cycle(letters))]
        for row in rows
    ]
    return [RankingTask(row["query"], some) for row, some in zip(rows, texts, strict=True)]


def assert_same_bits(model: str, device: str, dtype: str, lists: list[RankingTask], **options: Any) -> None:
    """Score at the device's own budget, at others, in another order, and (but for listwise models) one pair a call."""
    options |= {"device": device, "dtype": dtype}
    reranker = Reranker.load(model, **options)
    expected = reranker.score_lists(lists)
    assert np.isfinite(expected).all()
    specification = reranker.specification
    for budget in BUDGETS:
        reranker.specification = replace(specification, execution=replace(specification.execution, batch_tokens=budget))
        assert reranker.score_lists(lists) == expected, budget
        assert reranker.score_lists(lists[::-1]) == expected[::-1], budget
    assert [reranker.score(*lists[1][:2])] == expected[1:2]
    if "v3" not in str(options.get("like")):
        backwards = [RankingTask(query, texts[::-1]) for query, texts, _ in lists]
        assert [scores[::-1] for scores in reranker.score_lists(backwards)] == expected
        assert [reranker.score(lists[0].query, [text])[0] for text in lists[0].documents[:3]] == expected[0][:3]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", WIDTHS)
def test_a_score_does_not_depend_on_what_is_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, device: str, dtype: str
) -> None:
    published = sizes.SIZES[name]
    fewer = {"num_hidden_layers": 2, "vocab_size": 30_600}
    monkeypatch.setattr(sizes, "SIZES", {name: published._replace(config={**published.config, **fewer})})
    random_models.make(name, tmp_path / "model")
    options = {} if published.like is None else {"like": published.like}
    assert_same_bits(str(tmp_path / "model"), device, dtype, lists_of(3, *LETTERS.get(name, (160,))), **options)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("device", DEVICES)
def test_nor_does_the_embedded_models(device: str, dtype: str) -> None:
    assert_same_bits("small-cross-encoder", device, dtype, lists_of(4, 1000))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_nor_do_a_poolings_and_a_modular_heads(tmp_path: Path, pooling: str, device: str) -> None:
    tiny_encoder.bert(tmp_path / "encoder", pooling)
    assert_same_bits(str(tmp_path / "encoder"), device, "float32", WORDS)
    modular = tiny_modular.modular_cross_encoder(tmp_path, pooling)
    assert_same_bits(str(modular), device, "float32", WORDS)


@pytest.mark.parametrize("device", DEVICES)
def test_nor_does_a_listwise_models_with_windows(tmp_path: Path, device: str) -> None:
    folder = tiny_listwise.windowed(tmp_path / "model", window=100)
    assert_same_bits(str(folder), device, "float32", WORDS, like="jinaai/jina-reranker-v3.5")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("device", DEVICES)
def test_nor_do_jina_reranker_m0s_and_those_of_a_last_token(tmp_path: Path, device: str, dtype: str) -> None:
    lists = lists_of(4, 5, 80, 160)
    m0(tmp_path)
    assert_same_bits(str(tmp_path), device, dtype, lists)
    assert_same_bits(str(tiny_encoder.qwen3(tmp_path / "encoder")), device, dtype, lists)
