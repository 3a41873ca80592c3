from __future__ import annotations

import pytest

from eval.ranking.evaluation import evaluate
from eval.ranking.measures import parse_measures
from eval.ranking.runs import QueryRankings

GRADES = {"q1": {"a": 1}, "q2": {"b": 2, "q2": 1}, "q3": {"c": 1}, "q4": {"d": 1}, "q5": {"e": 0}}


def lists() -> list[QueryRankings]:
    """q1 to q3 and q5 of the judgements, and two queries that are not among them."""
    return [
        QueryRankings("q1", {"first": [(1.0, "x"), (2.0, "a")], "last": [(1.0, "a"), (1.0, "x")]}),
        QueryRankings("p1", {"first": [(1.0, "a")], "last": [(1.0, "a")]}),
        QueryRankings("q2", {"first": [(3.0, "q2"), (2.0, "b")], "last": [(2.0, "b")]}),
        QueryRankings("q3", {"first": [(1.0, "c")], "last": []}),
        QueryRankings("q5", {"first": [], "last": []}),
        QueryRankings("p2", {"first": [], "last": []}),
    ]


@pytest.mark.parametrize("batch", [1, 3, 65_536])
def test_every_query_of_the_judgements_has_a_value_whatever_the_batches(
    monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr("eval.ranking.evaluation.BATCH_CANDIDATES", batch)
    (measure,) = parse_measures(["RR(rel=1)@10"])
    result = evaluate(lists(), ("first", "last"), [measure], GRADES)
    assert result.values == {
        "first": {measure: {"q1": 1.0, "q2": 1.0, "q3": 1.0, "q4": 0.0, "q5": 0.0}},
        "last": {measure: {"q1": 0.5, "q2": 1.0, "q3": 0.0, "q4": 0.0, "q5": 0.0}},
    }
    assert result.answered == {"q1", "q2", "q3"}
    assert result.unjudged == ["p1", "p2"]
    assert result.counts == {
        "unjudged_queries": 2,
        "candidates": 5,
        "judged": 4,
        "identical": 1,
        "tied": 1,
        "tied_queries": 1,
    }


def test_documents_with_the_query_s_id_are_left_out_of_every_stage_and_count() -> None:
    (measure,) = parse_measures(["SetR"])
    result = evaluate(lists(), ("first", "last"), [measure], GRADES, exclude_identical_ids=True)
    assert result.values["first"][measure]["q2"] == 0.5
    assert (result.counts["candidates"], result.counts["judged"], result.counts["identical"]) == (4, 3, 0)
