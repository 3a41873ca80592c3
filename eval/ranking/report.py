"""Makes the report of `measure`: means, counts and notes as plain data. Reads no file and prints nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ir_measures import Measure

from eval.ranking.evaluation import Evaluation
from eval.ranking.measures import mean
from eval.ranking.qrels import Judgements
from eval.ranking.runs import FIRST_STAGE, RERANKED

# What is odd enough in the counts that a reader of the means should know of it, by what the relevant documents are
# known from.
NOTES = {
    "qrels": {
        "queries_not_in_qrels": "queries with candidates that are not in the qrels: {:,}; left out",
        "queries_without_relevant_documents": "queries of the qrels without a relevant document: {:,}; they count 0 "
        "whatever their ranking",
        "identical_ids": "candidates with the id of their query: {:,}; BEIR leaves them out (--exclude_identical_ids)",
        "repeated_judgements": "lines of the qrels that repeat an earlier one: {:,}; each counts once",
    },
    "answers": {
        "queries_not_in_qrels": "queries with candidates that are not in the answers: {:,}; left out",
        "queries_without_answers": "queries of the answers without one that has a letter, digit or sign: {:,}; they "
        "count 0 whatever their ranking",
        "identical_ids": "candidates with the id of their query: {:,}",
    },
}
NONE_FOUND = {
    "qrels": "no candidate has a judgement: are these the qrels of this collection?",
    "answers": "no candidate holds an answer: are these the answers of this collection?",
}


def mean_rows(evaluation: Evaluation, measures: Mapping[str, Measure], queries: Sequence[str]) -> list[dict[str, Any]]:
    """A row a measure: its name, its mean over `queries` for each stage, and the difference that reranking made."""
    rows = []
    for name, measure in measures.items():
        row: dict[str, Any] = {"measure": name}
        for stage, values in evaluation.values.items():
            row[stage] = mean(measure, (values[measure][query_id] for query_id in queries))
        if FIRST_STAGE in row:
            row["difference"] = row[RERANKED] - row[FIRST_STAGE]
        rows.append(row)
    return rows


def query_rows(evaluation: Evaluation, measures: Mapping[str, Measure], queries: Sequence[str]) -> list[dict[str, Any]]:
    """A row a query and measure: query_id, measure, and its value for each stage."""
    return [
        {"query_id": query_id, "measure": name}
        | {stage: float(values[measure][query_id]) for stage, values in evaluation.values.items()}
        for query_id in queries
        for name, measure in measures.items()
    ]


def count(evaluation: Evaluation, judgements: Judgements) -> dict[str, int]:
    """The numbers behind the means; candidates and ties are those of the queries in the qrels."""
    counts = evaluation.counts
    return {
        "queries_in_qrels": len(judgements.grades),
        "queries_with_candidates": len(evaluation.answered),
        "queries_without_candidates": len(judgements.grades) - len(evaluation.answered),
        "queries_without_relevant_documents": sum(
            max(grades.values(), default=0) < 1 for grades in judgements.grades.values()
        ),
        "queries_not_in_qrels": counts["unjudged_queries"],
        "candidates": counts["candidates"],
        "judged_candidates": counts["judged"],
        "tied_candidates": counts["tied"],
        "queries_with_ties": counts["tied_queries"],
        "identical_ids": counts["identical"],
        "repeated_judgements": judgements.repeated,
    }


def count_notes(counts: Mapping[str, int], kind: str) -> list[str]:
    """The notes that the counts give cause for; `kind` is qrels or answers."""
    notes = [text.format(counts[name]) for name, text in NOTES[kind].items() if counts.get(name)]
    return notes if counts["judged_candidates"] else [*notes, NONE_FOUND[kind]]


def grade_notes(judgements: Judgements) -> list[str]:
    """How graded judgements enter the measures; nothing where all are 0 or 1."""
    grades = Counter(grade for judged in judgements.grades.values() for grade in judged.values())
    if max(grades, default=0) <= 1:
        return []
    shown = ", ".join(f"{number:,} of {grade}" for grade, number in sorted(grades.items()))
    return [
        f"judgements by grade: {shown}; nDCG weighs grades, other measures count documents as relevant from 1, or from "
        "2 if written so: R(rel=2)@100"
    ]
