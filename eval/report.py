"""Makes the report of `measure`: means, counts and notes as plain data. Reads no file and prints nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from eval.evaluation import Evaluation
from eval.measures import mean
from eval.qrels import Judgements
from eval.runs import FIRST_STAGE, RERANKED


def mean_rows(evaluation: Evaluation, queries: Sequence[str]) -> list[dict[str, Any]]:
    """A row a measure: its name, its mean over `queries` for each stage, and the difference that reranking made."""
    rows = []
    for measure in evaluation.measures:
        row: dict[str, Any] = {"measure": str(measure)}
        for stage, values in evaluation.values.items():
            row[stage] = mean(measure, (values[measure][query_id] for query_id in queries))
        if FIRST_STAGE in row:
            row["difference"] = row[RERANKED] - row[FIRST_STAGE]
        rows.append(row)
    return rows


def query_rows(evaluation: Evaluation, queries: Sequence[str]) -> list[dict[str, Any]]:
    """A row a query and measure: query_id, measure, and its value for each stage."""
    return [
        {"query_id": query_id, "measure": str(measure)}
        | {stage: float(values[measure][query_id]) for stage, values in evaluation.values.items()}
        for query_id in queries
        for measure in evaluation.measures
    ]


def count(evaluation: Evaluation, judgements: Judgements) -> dict[str, int]:
    """The numbers behind the means; candidates and ties are those of the queries in the qrels."""
    counts = evaluation.counts
    return {
        "queries_in_qrels": len(judgements.grades),
        "queries_with_candidates": len(evaluation.answered),
        "queries_without_candidates": len(judgements.grades) - len(evaluation.answered),
        "queries_without_relevant_documents": sum(max(grades.values()) < 1 for grades in judgements.grades.values()),
        "queries_not_in_qrels": counts["unjudged_queries"],
        "candidates": counts["candidates"],
        "judged_candidates": counts["judged"],
        "tied_candidates": counts["tied"],
        "queries_with_ties": counts["tied_queries"],
        "identical_ids": counts["identical"],
        "repeated_judgements": judgements.repeated,
    }


def count_notes(counts: dict[str, int]) -> list[str]:
    """What is odd enough in the counts that a reader of the means should know of it."""
    notes = {
        "queries_not_in_qrels": "queries with candidates that are not in the qrels: {:,}; left out",
        "queries_without_relevant_documents": "queries of the qrels without a relevant document: {:,}; they count 0 "
        "whatever their ranking",
        "identical_ids": "candidates with the id of their query: {:,}; BEIR leaves them out (--exclude_identical_ids)",
        "repeated_judgements": "lines of the qrels that repeat an earlier one: {:,}; each counts once",
    }
    found = [text.format(counts[name]) for name, text in notes.items() if counts[name]]
    if not counts["judged_candidates"]:
        found.append("no candidate has a judgement: are these the qrels of this collection?")
    return found


def grade_notes(judgements: Judgements) -> list[str]:
    """How graded judgements enter the measures; nothing where all are 0 or 1."""
    grades = Counter(grade for judged in judgements.grades.values() for grade in judged.values())
    if max(grades) <= 1:
        return []
    shown = ", ".join(f"{number:,} of {grade}" for grade, number in sorted(grades.items()))
    return [
        f"judgements by grade: {shown}; nDCG weighs grades, other measures count documents as relevant from 1, or from "
        "2 if written so: R(rel=2)@100"
    ]
