"""Measures one job's output for a cell of a comparison. Prints nothing and writes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ir_measures import Measure

from eval.ranking.answers import read_answers
from eval.ranking.evaluation import Evaluation, evaluate
from eval.ranking.measures import mean
from eval.ranking.qrels import read_qrels
from eval.ranking.relevance import by_answers, by_qrels
from eval.ranking.report import count, count_notes, grade_notes, mean_rows
from eval.ranking.runs import QueryRankings, nothing_in, open_source
from transforms.base.errors import UserError

ANSWERS = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class JobMeasures:
    """What a job's output is worth.

    Attributes:
        rows: measure, first_stage (or input_order, without a difference), reranked and difference of each measure; the
            main one first, the list's recall last.
        counts: as of `eval.ranking.report.count`.
        depth: candidates of the query that has most.
        languages: language -> queries, value and first_stage of the main measure.
        notes: what a reader must know of the figures.
        values: measure -> query id -> value of the reranked order, of the queries with candidates.
    """

    rows: list[dict[str, Any]]
    counts: dict[str, int]
    depth: int
    languages: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    values: dict[str, dict[str, float]] = field(default_factory=dict)


def measure_job(
    output: str, judgements: str, languages: Mapping[str, str], exclude_identical_ids: bool = False
) -> JobMeasures:
    """Measures a job's first stage and reranked order.

    Args:
        output: the job's directory.
        judgements: in TREC's form or BEIR's; or, in a file whose name ends in .jsonl or .jsonl.gz, answers, which the
            candidates that the job read are searched for.
        languages: query id -> language; empty where that is not known.
        exclude_identical_ids: leave out documents whose id is the query's, as BEIR does.

    Raises:
        UserError: the output or the judgements cannot be read, or have no query in common.
    """
    source = open_source(output)
    if judgements.endswith(ANSWERS):
        relevance = by_answers(judgements, None, None, source.job)
    else:
        relevance = by_qrels(judgements, None)
    grades, measures = relevance.judgements.grades, relevance.measures
    depth = 0

    def watched() -> Iterator[QueryRankings]:
        nonlocal depth
        for candidates in source.lists:
            depth = max(depth, *(len(documents) for documents in candidates.stages.values()))
            yield candidates

    evaluation = evaluate(watched(), source.stages, [*measures.values()], grades, exclude_identical_ids)
    if not evaluation.answered and not evaluation.unjudged:
        raise nothing_in(output)
    if not evaluation.answered:
        raise UserError(f"{judgements}: no query in common with the candidates; give the judgements of this data set")
    counts = count(evaluation, relevance.judgements) | dict(relevance.counts)
    return JobMeasures(
        mean_rows(evaluation, measures, list(grades)),
        counts,
        depth,
        by_language(evaluation, next(iter(measures.values())), languages),
        source.notes + count_notes(counts, relevance.kind) + grade_notes(relevance.judgements),
        {
            name: {query: float(value) for query, value in of.items() if query in evaluation.answered}
            for name, measure in measures.items()
            for of in [evaluation.values[source.stages[-1]][measure]]
        },
    )


def judged_queries(judgements: str) -> frozenset[str]:
    """The queries of a file of judgements or answers, all of which is read and so checked; see `measure_job`.

    Raises:
        UserError: it cannot be read, or is malformed.
    """
    return frozenset(read_answers(judgements) if judgements.endswith(ANSWERS) else read_qrels(judgements).grades)


def by_language(evaluation: Evaluation, measure: Measure, languages: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """A measure's mean for each language over its judged queries; nothing if there is but one language.

    Returns:
        Language -> queries, and the mean for each stage under the stage's name, sorted by language.
    """
    groups: dict[str, list[str]] = defaultdict(list)
    judged = evaluation.values[next(iter(evaluation.values))][measure]
    for query_id in sorted(judged.keys() & languages.keys()):
        groups[languages[query_id]].append(query_id)
    if len(groups) < 2:
        return {}
    return {
        language: {"queries": len(queries)} | _means(evaluation, measure, queries)
        for language, queries in sorted(groups.items())
    }


def _means(evaluation: Evaluation, measure: Measure, queries: Sequence[str]) -> dict[str, float]:
    return {
        stage: mean(measure, (values[measure][query_id] for query_id in queries))
        for stage, values in evaluation.values.items()
    }
