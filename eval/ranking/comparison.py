"""Makes the report of `compare` from values query by query, and renders it. Reads no file and prints nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eval.ranking.significance import CONFIDENCE, RESAMPLES, SEED, UNIT, compare, holm
from eval.ranking.summary import LABELS, align, hang
from transforms.base.errors import shown

TEXT_SHOWN = 100  # characters of a document
TEXT_UNKNOWN = "(text unavailable)"

Values = Mapping[str, float]  # query id -> value


def labels(locations: Sequence[str]) -> list[str]:
    """Locations without the folders that all of them begin with."""
    paths = [location.rstrip("/").split("/") for location in locations]
    folders = list(zip(*(path[:-1] for path in paths), strict=False))
    shared = next((place for place, names in enumerate(folders) if len(set(names)) > 1), len(folders))
    return ["/".join(path[shared:]) for path in paths]


def tests(comparisons: int) -> dict[str, Any]:
    """What was done, for whoever reads the figures, given how many comparisons there are."""
    return {
        "permutation": {"paired": True, "sides": 2, "resamples": RESAMPLES, "seed": SEED},
        "t": {"paired": True, "sides": 2},
        "correction": {"method": "Holm", "comparisons": comparisons},
        "interval": {"of": "mean difference", "confidence": CONFIDENCE, "method": "Student's t", "corrected": False},
    }


def comparison_rows(
    measures: Sequence[str], runs: Mapping[str, Mapping[str, Values]], queries: Sequence[str], show: int
) -> list[dict[str, Any]]:
    """A row a measure and run, the baseline aside.

    Args:
        measures: names of measures.
        runs: run -> measure -> values; the first is the baseline.
        queries: ids of the queries to compare by, at least one.
        show: how many of the queries that changed most are named in each row, at most.

    Returns:
        measure; run; the fields of `significance.Difference`; p_permutation_holm and p_t_holm, corrected over all rows;
        changed, the queries that changed most, with query_id, baseline, run and difference.
    """
    baseline, *others = runs
    rows = []
    for measure in measures:
        before = runs[baseline][measure]
        for run in others:
            after = runs[run][measure]
            difference = compare([before[query] for query in queries], [after[query] for query in queries])
            row = {"measure": measure, "run": run, **difference._asdict()}
            rows.append(row | {"changed": most_changed(before, after, queries, show)})
    for p in ("p_permutation", "p_t"):
        for row, corrected in zip(rows, holm([row[p] for row in rows]), strict=True):
            row[f"{p}_holm"] = corrected
    return rows


def most_changed(before: Values, after: Values, queries: Sequence[str], show: int) -> list[dict[str, Any]]:
    """The queries with the largest differences either way, largest first, those alike by query id; no ties."""
    differences = {query: after[query] - before[query] for query in queries}
    changed = [query for query, difference in differences.items() if abs(difference) > UNIT / 2]
    changed.sort(key=lambda query: (-abs(differences[query]), query))
    return [
        {"query_id": query, "baseline": before[query], "run": after[query], "difference": differences[query]}
        for query in changed[:show]
    ]


def query_rows(
    measures: Sequence[str], runs: Mapping[str, Mapping[str, Values]], queries: Sequence[str]
) -> list[dict[str, Any]]:
    """A row a query and measure: query_id, measure, and the value of each run under the run's name."""
    return [
        {"query_id": query, "measure": measure} | {run: values[measure][query] for run, values in runs.items()}
        for query in queries
        for measure in measures
    ]


def render_comparison(report: Mapping[str, Any]) -> str:
    """The means, the comparisons by measure, the queries that changed most by the first measure, with the documents
    that moved where the report has them, and the notes."""
    blocks = [_means(report)]
    by_measure: dict[str, list[Mapping[str, Any]]] = {}
    for row in report["comparisons"]:
        by_measure.setdefault(row["measure"], []).append(row)
    blocks += [_differences(f"{measure} against {report['baseline']}", rows) for measure, rows in by_measure.items()]
    first = next(iter(by_measure.values()))
    for row in first:
        if row["changed"]:
            blocks += [
                _changed(row, report["baseline"]),
                *(_moved(entry, report["baseline"], row["run"]) for entry in row["changed"] if "moved" in entry),
            ]
    correction = report["tests"]["correction"]["comparisons"]
    facts = [
        ("queries", _queries(report)),
        (
            "p",
            f"paired and two-sided, and beside it as Holm corrects it; comparisons: {correction}. The permutation test "
            f"takes all permutations, or {RESAMPLES:,} at random (seed {SEED}) where they are more",
        ),
        ("interval", "of the mean difference, by Student's t, not corrected"),
        *(("note", f"{run['run']}: {note}") for run in report["runs"] for note in run["notes"]),
        *(("note", note) for note in report["notes"]),
    ]
    return "\n\n".join(["\n".join(lines) for lines in [*blocks, [hang(name, fact) for name, fact in facts]]])


def _means(report: Mapping[str, Any]) -> list[str]:
    names = list(report["runs"][0]["means"])
    rows = [[run["run"], *(f"{run['means'][name]:.4f}" for name in names)] for run in report["runs"]]
    return align([["mean", *(LABELS.get(name, name) for name in names)], *rows])


def _differences(title: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    head = ["mean", f"{CONFIDENCE:.0%} interval", "permutation p", "Holm", "t test p", "Holm"]
    table = [[title, *head, "wins", "ties", "losses"]]
    for row in rows:
        p_values = [p_value(row[name]) for name in ("p_permutation", "p_permutation_holm", "p_t", "p_t_holm")]
        counts = [f"{row[name]:,}" for name in ("wins", "ties", "losses")]
        table.append([row["run"], f"{row['mean']:+.4f}", interval(row), *p_values, *counts])
    return align(table)


def _changed(row: Mapping[str, Any], baseline: str) -> list[str]:
    table = [[f"{row['measure']}, changed most", baseline, row["run"], "difference"]]
    for query in row["changed"]:
        values = [f"{query[name]:.4f}" for name in ("baseline", "run")]
        table.append([shown(query["query_id"]), *values, f"{query['difference']:+.4f}"])
    return align(table)


def _moved(entry: Mapping[str, Any], baseline: str, run: str) -> list[str]:
    """A query's text, and under it the documents that moved."""
    numbers = [["", baseline, run, "grade"]]
    for document in entry["moved"]:
        values = (document[name] for name in ("baseline_rank", "run_rank", "grade"))
        numbers.append(["", *("none" if value is None else str(value) for value in values)])
    texts = ["document", *(f"{shown(each['doc_id'])}: {_begin(each['text'])}" for each in entry["moved"])]
    lines = [f"{line}  {text}" for line, text in zip(align(numbers), texts, strict=True)]
    return [f"{shown(entry['query_id'])}: {_begin(entry['query'])}", *lines]


def _begin(text: str | None) -> str:
    """A text's beginning in one line, without control characters."""
    if text is None:
        return TEXT_UNKNOWN
    line = shown(text)
    return line if len(line) <= TEXT_SHOWN else f"{line[:TEXT_SHOWN]}..."


def interval(row: Mapping[str, Any]) -> str:
    """The interval of a comparison's mean difference."""
    return "none" if row["low"] is None else f"{row['low']:+.4f} to {row['high']:+.4f}"


def p_value(value: float | None) -> str:
    """A p to four digits."""
    if value is None:
        return "none"
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _queries(report: Mapping[str, Any]) -> str:
    missing = "; ".join(
        f"{run['run']} has no candidates for {run['queries_without_candidates']:,}, which count 0"
        for run in report["runs"]
        if run["queries_without_candidates"]
    )
    return f"{report['queries']:,}" + (f"; {missing}" if missing else "")
