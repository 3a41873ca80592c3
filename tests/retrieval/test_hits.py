from __future__ import annotations

import numpy as np
import pytest

from transforms.retrieval import hits


@pytest.mark.parametrize(
    ("scores", "k", "places"),
    [
        ([0.1, 0.9, 0.5], 2, [1, 2]),
        ([0.1, 0.9, 0.5], 9, [1, 2, 0]),
        ([1, 1, 1, 1], 2, [0, 1]),  # equal ones in the order in which they stand
        ([1, 2, 1, 2, 1], 3, [1, 3, 0]),
        ([np.nan, -1, -np.inf, -2], 4, [1, 3]),
        ([], 3, []),
    ],
)
def test_best(scores: list[float], k: int, places: list[int]) -> None:
    assert hits.best(np.array(scores, np.float32), k).tolist() == places


def test_thousands_of_equal_scores() -> None:
    assert hits.best(np.zeros(5000, np.float32), 100).tolist() == list(range(100))


def test_table() -> None:
    best = [("q", np.array([2, 0]), np.array([1.5, 1.0], np.float32)), ("p", np.array([], int), np.array([]))]
    assert hits.table(best, ["a", "b", "c"]).to_pylist() == [
        {"query_id": "q", "doc_id": "c", "score": 1.5},
        {"query_id": "q", "doc_id": "a", "score": 1.0},
    ]
    assert hits.table([], []).num_rows == 0
