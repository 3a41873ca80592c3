"""Hard negatives against sentence-transformers' mine_hard_negatives, live, on the same scores and options."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from sentence_transformers.util import mine_hard_negatives

from eval.export.negatives import Miner
from eval.export.request import Mining

QUERIES, DOCUMENTS = 12, 60
SCORES = np.random.default_rng(0).normal(size=(QUERIES, DOCUMENTS)).astype(np.float32)
RELEVANT = [sorted({(3 * q) % 20, (7 * q + 1) % 25}) for q in range(QUERIES)]  # one or two documents of each query
for _scores, _relevant in zip(SCORES, RELEVANT, strict=True):
    _scores[_relevant] += 1.5


class Known:
    """Takes the place of an embedding model: what it says of a query and a document is SCORES."""

    device = torch.device("cpu")

    def encode_query(self, texts: list[str], **_: Any) -> np.ndarray[Any, Any]:
        return SCORES[[int(text[1:]) for text in texts]]

    def encode_document(self, texts: list[str], **_: Any) -> np.ndarray[Any, Any]:
        return np.eye(DOCUMENTS, dtype=np.float32)[[int(text[1:]) for text in texts]]

    def similarity(self, queries: Any, documents: Any) -> torch.Tensor:
        return torch.as_tensor(queries) @ torch.as_tensor(documents).T

    def similarity_pairwise(self, queries: Any, documents: Any) -> torch.Tensor:
        return (torch.as_tensor(queries) * torch.as_tensor(documents)).sum(1)


def theirs(**options: Any) -> dict[int, list[int]]:
    """Query -> its negatives."""
    rows = [(f"q{q}", f"d{d}") for q in range(QUERIES) for d in RELEVANT[q]]
    dataset = Dataset.from_dict({"query": [q for q, _ in rows], "positive": [d for _, d in rows]})
    model: Any = Known()
    corpus = [f"d{d}" for d in range(DOCUMENTS)]
    random.seed(5)
    mined = mine_hard_negatives(dataset, model, corpus=corpus, output_format="labeled-list", verbose=False, **options)
    return {int(row["query"][1:]): [int(text[1:]) for text in row["positive"][1:]] for row in mined}


def ours(**options: Any) -> dict[int, list[int]]:
    miner = Miner(Mining(seed=5, **options), max(map(len, RELEVANT)))
    negatives = {}
    for query in range(QUERIES):
        order = np.argsort(-SCORES[query], kind="stable")
        if places := miner.choose(SCORES[query][order], np.isin(order, RELEVANT[query])):
            negatives[query] = order[places].tolist()
    return negatives


@pytest.mark.parametrize(
    "options",
    [
        {"range_max": 20},
        {"range_max": 20, "range_min": 4, "num_negatives": 5},
        {"range_max": 30, "absolute_margin": 0.3},
        {"range_max": 30, "relative_margin": 0.2, "num_negatives": 4},
        {"range_max": 50, "max_score": 0.5, "min_score": 0.1},
        {"range_max": 40, "absolute_margin": 0.0, "relative_margin": 0.05, "max_score": 1.0, "range_min": 1},
    ],
)
@pytest.mark.parametrize("sampling", ["top", "random"])
def test_negatives_are_those_of_mine_hard_negatives(options: dict[str, Any], sampling: str) -> None:
    expected = theirs(sampling_strategy=sampling, **options)
    assert ours(sampling=sampling, **options) == expected
    assert sum(map(len, expected.values())) > 10  # else the comparison says nothing


def test_what_each_rule_leaves_out_is_counted() -> None:
    scores = np.array([3.0, 2.5, 2.0, 1.0, -1.0, -2.0], dtype=np.float32)
    miner = Miner(Mining(absolute_margin=0.6, max_score=1.5, min_score=-1.5), most_positives=1)
    assert miner.choose(scores, np.array([True, False, False, False, False, False])) == [3, 4]
    assert miner.skipped == {"absolute_margin": 1, "max_score": 1, "min_score": 1}


def test_of_several_positives_the_lowest_sets_the_margin() -> None:
    scores = np.array([3.0, 2.9, 1.0, 0.9], dtype=np.float32)
    miner = Miner(Mining(absolute_margin=0.0), most_positives=2)
    assert miner.choose(scores, np.array([True, False, True, False])) == [3]
