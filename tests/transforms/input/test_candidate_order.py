"""The order in which candidates are read."""

from __future__ import annotations

import pytest

from transforms.base.errors import UserError
from transforms.input.candidate_order import candidate_order, check_order

# In the first stage's order; the input listed b, c, a.
DOCUMENTS, GIVEN = ["a", "b", "c"], [2, 0, 1]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("given", ["b", "c", "a"]),
        ("best_first", ["a", "b", "c"]),
        ("worst_first", ["c", "b", "a"]),
        ("random:3", ["a", "c", "b"]),
        ("random:4", ["c", "a", "b"]),
    ],
)
def test_order(order: str, expected: list[str]) -> None:
    assert [DOCUMENTS[index] for index in candidate_order(order, "query", DOCUMENTS, GIVEN)] == expected


@pytest.mark.parametrize("order", ["given", "best_first", "worst_first", "random:1"])
def test_a_query_without_candidates_has_an_order(order: str) -> None:
    assert candidate_order(order, "query", [], []).tolist() == []


def test_a_random_order_depends_on_seed_and_ids_alone() -> None:
    documents = [f"d{number}" for number in range(100)]
    places = range(100)

    def read(order: str, query_id: str, listed: list[str]) -> list[str]:
        return [listed[index] for index in candidate_order(order, query_id, listed, places)]

    first = read("random:7", "q1", documents)
    assert sorted(first) == sorted(documents) != first
    assert read("random:7", "q1", documents[::-1]) == first
    assert read("random:7", "q2", documents) != first
    assert read("random:8", "q1", documents) != first


@pytest.mark.parametrize("order", ["given", "best_first", "worst_first", "random:0", "random:123"])
def test_orders_there_are(order: str) -> None:
    assert check_order(order) == order


@pytest.mark.parametrize("order", ["", "best", "random", "random:", "random:x", "random:-1", "given:1", "random:1 "])
def test_orders_there_are_not(order: str) -> None:
    with pytest.raises(UserError, match=r"^--candidate_order .*: give given, best_first, worst_first or random:SEED"):
        check_order(order)
