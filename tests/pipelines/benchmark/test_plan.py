"""What the benchmark says that it would do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from eval.table.cells import cell_path
from pipelines.benchmark.plan import PairCount, Planned, RequestedCell, finished, planned, render, speeds
from tests.support.benchmark_cells import PLAIN, cell, write, write_failure

SLOW = {"pairs": 100, "pairs_per_second": 10.0}
FAST = {"pairs": 900, "pairs_per_second": 90.0}


def test_cells_that_are_done_are_told_from_those_to_do(tmp_path: Path) -> None:
    write(tmp_path, PLAIN)
    write_failure(tmp_path, "small-cross-encoder", "failed", "no weights")
    damaged = Path(cell_path(str(tmp_path), "small-cross-encoder", "damaged"))
    damaged.parent.mkdir()
    damaged.write_text("{")
    write(tmp_path, replace(PLAIN, dataset="outdated", outdated="begun anew"))
    write(tmp_path, changed := replace(PLAIN, dataset="changed", fingerprint="old"))
    write(tmp_path, same := replace(PLAIN, dataset="same", fingerprint="f"))
    pairs = {name: PairCount(7, True) for name in ("own", "outdated", "failed", "damaged", "changed", "same")}
    pairs |= {"to make": PairCount(5000, False), "not known": PairCount(None, False)}
    requested = {("small-cross-encoder", name): RequestedCell("f", 0) for name in ("changed", "same")}
    requested["small-cross-encoder", "failed"] = RequestedCell("f", 3)
    model = "small-cross-encoder"
    assert planned([model], pairs, requested, finished(str(tmp_path))) == [
        Planned(model, "own", 900, PLAIN),
        Planned(model, "outdated", 7, None),
        Planned(model, "failed", 4, None, begun=True),
        Planned(model, "damaged", 7, None),
        Planned(model, "changed", 7, None),
        Planned(model, "same", 900, same),
        Planned(model, "to make", 5000, None, at_most=True),
        Planned(model, "not known", None, None, at_most=True),
    ]
    assert changed.pairs == 900


def test_a_model_s_speed_is_that_of_all_its_cells_together() -> None:
    cells = [cell("m", "a", 0.5, run=SLOW), cell("m", "b", 0.5, run=FAST), cell("other", "a", 0.5, run=FAST)]
    assert speeds(["m", "new"], cells, None) == {"m": 50.0, "new": None}
    assert speeds(["m", "new"], cells, 7.0) == {"m": 50.0, "new": 7.0}


def test_finished_cells_of_other_data_sets_tell_the_speed_too(tmp_path: Path) -> None:
    assert finished(str(tmp_path / "absent")) == []
    write(tmp_path, PLAIN, replace(PLAIN, dataset="another"), replace(PLAIN, dataset="damaged", run={}))
    assert [each.dataset for each in finished(str(tmp_path))] == ["another", "own"]


def test_the_plan_sums_up_what_is_to_do() -> None:
    cells = [
        Planned("m", "a", 100, cell("m", "a", 0.5, run=SLOW)),
        Planned("m", "b", 36_000, None),
        Planned("m", "c", None, None, at_most=True),
        Planned("m", "d", 360, None, begun=True),
        Planned("new", "b", 36_000, None, at_most=True),
    ]
    assert render(cells, {"m": 10.0, "new": 20.0}, price_per_hour=2.5).splitlines() == [
        "model  data set  state           pairs         time  cost",
        "m             a   done             100            -     -",
        "m             b  to do          36,000   1 h 00 min  2.50",
        "m             c  to do               ?            ?     ?",
        "m             d  begun             360         36 s  0.03",
        "new           b  to do  at most 36,000  30 min 00 s  1.25",
        "",
        "to do: 4 of 5 cells, 72,360 pairs, 1 h 30 min, cost 3.77",
        "not in the sums: data sets of which the number of queries is known only with their candidates",
        "not in the sums: the making of candidates, which are not there yet",
    ]


def test_what_a_plan_cannot_know_is_said() -> None:
    lines = render([Planned("m", "a", 100, None)], {"m": None}, price_per_hour=None).splitlines()
    assert lines[3:] == [
        "to do: 1 of 1 cell, 100 pairs",
        "speed not known of m: give --throughput, in pairs a second",
        "cost not known: give --price_per_hour",
    ]
