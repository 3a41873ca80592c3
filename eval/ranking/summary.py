"""Renders the report of `measure` as plain text. Knows only the report, as it stands in the JSON file."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

WIDTH = 110
HEADINGS = {"first_stage": "first stage", "input_order": "order of the input"}
LABELS = {"SetR": "SetR (recall of the list)", "Recall": "Recall (of the whole list)"}
FOUND = {"qrels": "have a judgement", "answers": "hold an answer"}


def render(report: dict[str, Any]) -> str:
    """The means in a table, then the counts behind them and the notes, without a newline at the end."""
    kind = next(kind for kind in FOUND if kind in report)
    columns = [name for name in report["measures"][0] if name != "measure"]
    table = [["measure", *(HEADINGS.get(name, name) for name in columns)]]
    for row in report["measures"]:
        values = [f"{row[name]:+.4f}" if name == "difference" else f"{row[name]:.4f}" for name in columns]
        table.append([LABELS.get(row["measure"], row["measure"]), *values])
    facts = [
        ("queries", _queries(report["counts"], kind, report["only_run_queries"])),
        (
            "candidates",
            f"{{candidates:,}}, of which {{judged_candidates:,}} {FOUND[kind]}".format_map(report["counts"]),
        ),
        ("ties", _ties(report["counts"])),
        *(("note", note) for note in report["notes"]),
    ]
    return "\n".join([*align(table), "", *(hang(name, fact) for name, fact in facts)])


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column flush left, the others flush right, two spaces between."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    pads = [str.ljust, *[str.rjust] * (len(widths) - 1)]
    return ["  ".join(pad(cell, width) for pad, cell, width in zip(pads, row, widths, strict=True)) for row in rows]


def hang(name: str, fact: str) -> str:
    """A fact beside its name, wrapped under itself."""
    return textwrap.fill(
        fact,
        WIDTH,
        initial_indent=f"{name:<12}",
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _queries(counts: dict[str, int], kind: str, only_run_queries: bool) -> str:
    missing = "left out of the means" if only_run_queries else "each counts 0"
    return (
        "{queries_in_qrels:,} in the {kind}, {queries_with_candidates:,} with candidates, "
        "{queries_without_candidates:,} without ({missing})"
    ).format(**counts, kind=kind, missing=missing)


def _ties(counts: dict[str, int]) -> str:
    if not counts["tied_candidates"]:
        return "none"
    return (
        "candidates with the score of one ranked above them: {tied_candidates:,} (in queries: {queries_with_ties:,}); "
        "the higher document id comes first, as in trec_eval"
    ).format_map(counts)
