"""What the benchmark says that it would do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from eval.cells import cell_path
from pipelines.benchmark_plan import Planned, planned, render, speeds
from tests.benchmark_cells import PLAIN, cell, write, write_failure

SLOW = {"pairs": 100, "pairs_per_second": 10.0}
FAST = {"pairs": 900, "pairs_per_second": 90.0}


def test_cells_that_are_done_are_told_from_those_to_do(tmp_path: Path) -> None:
    write(tmp_path, PLAIN)
    write_failure(tmp_path, "small-cross-encoder", "failed", "no weights")
    damaged = Path(cell_path(str(tmp_path), "small-cross-encoder", "damaged"))
    damaged.parent.mkdir()
    damaged.write_text("{")
    write(tmp_path, replace(PLAIN, dataset="outdated", outdated="begun anew"))
    pairs = {"own": 7, "outdated": 8, "failed": 20, "damaged": 30, "to make": None}
    assert planned(str(tmp_path), ["small-cross-encoder"], pairs) == [
        Planned("small-cross-encoder", "own", 900, PLAIN),
        Planned("small-cross-encoder", "outdated", 8, None),
        Planned("small-cross-encoder", "failed", 20, None),
        Planned("small-cross-encoder", "damaged", 30, None),
        Planned("small-cross-encoder", "to make", None, None),
    ]


def test_a_model_s_speed_is_that_of_all_its_cells_together() -> None:
    cells = [
        Planned("m", "a", 100, cell("m", "a", 0.5, run=SLOW)),
        Planned("m", "b", 900, cell("m", "b", 0.5, run=FAST)),
        Planned("new", "a", 100, None),
    ]
    assert speeds(cells, None) == {"m": 50.0, "new": None}
    assert speeds(cells, 7.0) == {"m": 50.0, "new": 7.0}


def test_the_plan_sums_up_what_is_to_do() -> None:
    cells = [
        Planned("m", "a", 100, cell("m", "a", 0.5, run=SLOW)),
        Planned("m", "b", 36_000, None),
        Planned("m", "c", None, None),
        Planned("new", "b", 36_000, None),
    ]
    assert render(cells, throughput=20.0, price_per_hour=2.5).splitlines() == [
        "model  data set  state   pairs         time  cost",
        "m             a   done     100            -     -",
        "m             b  to do  36,000   1 h 00 min  2.50",
        "m             c  to do       ?            ?     ?",
        "new           b  to do  36,000  30 min 00 s  1.25",
        "",
        "to do: 3 of 4 cells, 72,000 pairs, 1 h 30 min, cost 3.75",
        "not in the sums: data sets whose candidates are not made yet, and the making of them",
        "done cells whose model, options or data have changed since are done again",
    ]


def test_what_a_plan_cannot_know_is_said() -> None:
    lines = render([Planned("m", "a", 100, None)], throughput=None, price_per_hour=None).splitlines()
    assert lines[3:] == [
        "to do: 1 of 1 cells, 100 pairs",
        "speed not known of m: give --throughput, in pairs a second",
        "cost not known: give --price_per_hour",
    ]
