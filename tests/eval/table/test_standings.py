"""Intervals, and what is not distinguishable from the best, from values query by query."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats

from eval.__main__ import main
from eval.table.cells import Cell, cell_path
from eval.table.standings import standings
from eval.table.values import read_values, write_values
from eval.table.view import as_asked
from tests.support.benchmark_cells import PLAIN, write

QUERIES = [f"q{number}" for number in range(9)]  # the tenth has no candidates
MEASURE = "nDCG@10"


def cell(model: str, values: list[float], **fields: object) -> Cell:
    return replace(PLAIN, model=model, value=sum(values) / 10, **fields)  # type: ignore[arg-type]


def known(**models: list[float]) -> dict[tuple[str, str], dict[str, dict[str, float]]]:
    return {(model, "own"): {MEASURE: dict(zip(QUERIES, of, strict=True))} for model, of in models.items()}


BEST = [1.0] * 9
NEAR = [0.9] * 5 + [1.0] * 4  # 5 losses: p is 2/2^5 = 0.0625
FAR = [0.9] * 9  # 9 losses: p is 2/2^9 = 0.0039


def test_what_a_test_does_not_tell_from_the_best_is_as_good() -> None:
    cells = [cell("far", FAR), cell("near", NEAR), cell("best", BEST)]
    places = standings(cells, known(best=BEST, near=NEAR, far=FAR))
    assert [each.best for each in places] == [False, True, True]


def test_the_tests_are_corrected_for_their_number() -> None:
    six = [0.9] * 6 + [1.0] * 3  # p is 2/2^6 = 0.03125, and 0.0625 as Holm corrects it for two
    cells = [cell(name, six) for name in ("a", "b")]
    alone = standings([cells[0], cell("best", BEST)], known(best=BEST, a=six))
    both = standings([*cells, cell("best", BEST)], known(best=BEST, a=six, b=six))
    assert [each.best for each in alone] == [False, True]
    assert [each.best for each in both] == [True, True, True]


def test_an_interval_counts_queries_without_candidates_as_0() -> None:
    [standing] = standings([cell("near", NEAR)], known(near=NEAR))
    expected = stats.t.interval(0.95, 9, sum(NEAR) / 10, stats.sem([*NEAR, 0.0]))
    assert (standing.low, standing.high) == pytest.approx(expected)
    assert not standing.best  # of one


def test_what_is_not_tested_is_not_as_good() -> None:
    cells = [cell("near", NEAR), cell("best", BEST)]
    assert standings(cells, known(near=NEAR))[1] == (None, None, False)
    assert [each.best for each in standings(cells, known(best=BEST))] == [False, True]
    seen = [cells[0], replace(cells[1], trained_on="seen")]
    assert [each.best for each in standings(seen, known(near=NEAR, best=BEST))] == [True, False]
    other = [replace(cells[0], candidates={**PLAIN.candidates, "judgements_sha256": "k"}), cells[1]]
    assert [each.best for each in standings(other, known(near=NEAR, best=BEST))] == [False, True]


def test_values_of_another_cell_are_not_taken(tmp_path: Path) -> None:
    made = cell("near", NEAR)
    write_values(str(tmp_path), "near", "own", known(near=NEAR)["near", "own"])
    assert read_values(str(tmp_path), [made]) == known(near=NEAR)
    assert read_values(str(tmp_path), [replace(made, value=0.7)]) == {}


def test_a_cell_by_another_measure_and_over_fewer_queries() -> None:
    rows = [
        {"measure": MEASURE, "first_stage": 0.4, "reranked": 0.5, "difference": 0.1},
        {"measure": "R@10", "reranked": 0.9},
    ]
    made = replace(PLAIN, measures=rows)
    assert as_asked(made, [], False) == made
    other = as_asked(made, ["R@10", MEASURE], False)
    assert (other.measure, other.value, other.first_stage) == ("R@10", 0.9, None)
    assert other.departures == {"measure": "R@10"}
    fewer = as_asked(made, ["R@10"], True)
    assert [fewer.value, fewer.list_recall] == pytest.approx([1.0, 1.0])  # 10 queries, 9 answered
    assert fewer.measures == [{"measure": "R@10", "reranked": pytest.approx(1.0)}]
    assert fewer.queries == {"in_qrels": 9, "with_candidates": 9, "without_candidates": 0}


def test_the_table_shows_intervals_costs_measures_and_its_denominator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    further = {"measure": "R@10", "first_stage": 0.6, "reranked": 0.75, "difference": 0.15}
    for name, values in (("best", BEST), ("near", NEAR)):
        made = cell(name, values)
        own = {"measure": MEASURE, "first_stage": 0.4, "reranked": made.value, "difference": made.value - 0.4}
        write(tmp_path, replace(made, measures=[own, further]))
        write_values(str(tmp_path), name, "own", known(**{name: values})[name, "own"])
    assert main(["table", str(tmp_path), "--measures", MEASURE, "R@10"]) == 0
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| best | 19M | **90.00** | 67.38 to 112.62 | 75.00 |" in text
    assert "| near | 19M | **85.00** | 63.34 to 106.66 | 75.00 |" in text
    assert text.count("| 100 | 0.005 |") == 2
    assert "over all queries of the judgements; a query without candidates counts 0." in text
    page = (tmp_path / "table.html").read_text(encoding="utf-8")
    assert page.count('<td class="best">85.00<small>63.34 to 106.66</small></td><td class="">75.00</td>') == 1
    assert "<td>0.005</td>" in page
    assert main(["table", str(tmp_path), "--only_run_queries"]) == 0
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "Measured are means over the queries that have candidates" in text
    assert "| best | 19M | **100.00** | \u2013 | \u2013 |" in text
    assert main(["table", str(tmp_path), "--measures", "P@5"]) == 2
    assert capsys.readouterr().err.endswith("error: --measures P@5: best on own was measured by nDCG@10, R@10 alone\n")


def test_damaged_values_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, PLAIN)
    Path(cell_path(str(tmp_path), PLAIN.model, PLAIN.dataset)).with_suffix(".parquet").write_text(json.dumps("x"))
    assert main(["table", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "not the values of a cell" in message
    assert message.count("\n") == 1
