"""Measures all candidate lists, some queries at a time, and counts what a reader must know beside the means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ir_measures import Measure

from eval.ranking.measures import per_query, trec_order
from eval.ranking.runs import QueryRankings

BATCH_CANDIDATES = 65_536  # the rankings in memory at one time hold about so many
EXAMPLES = 3


@dataclass
class Evaluation:
    """What came of measuring.

    Attributes:
        measures: what was computed.
        values: stage -> measure -> query id -> value, for all queries of the judgements.
        answered: ids of the judgements' queries that have candidates.
        unjudged: ids of a few of the queries with candidates that the judgements lack.
        counts: unjudged_queries, all of those. And of the judgements' queries: candidates; judged, the candidates with
            a grade; identical, the candidates whose id is the query's; tied, the candidates with the score of one
            ranked above them; tied_queries, the queries with such candidates. Ties are those of the last stage.
    """

    measures: Sequence[Measure]
    values: dict[str, dict[Measure, dict[str, float]]]
    answered: set[str] = field(default_factory=set)
    unjudged: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def evaluate(
    lists: Iterable[QueryRankings],
    stages: Sequence[str],
    measures: Sequence[Measure],
    grades: Mapping[str, Mapping[str, int]],
    exclude_identical_ids: bool = False,
) -> Evaluation:
    """Measures every stage of every list; a query of the judgements without candidates gets what an empty ranking gets.

    Args:
        lists: the candidates, each query once and each document once in a stage.
        stages: the rankings that each list has.
        measures: what to compute.
        grades: query id -> document id -> grade.
        exclude_identical_ids: leave out documents whose id is the query's, as BEIR does (for ArguAna and Quora).
    """
    result = Evaluation(measures, {stage: {measure: {} for measure in measures} for stage in stages})

    def add(rankings: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        for stage in stages:
            values = per_query(measures, grades, {query_id: ranked[stage] for query_id, ranked in rankings.items()})
            for measure in measures:
                result.values[stage][measure].update(values[measure])

    batch: dict[str, dict[str, list[str]]] = {}
    size = 0
    for query_id, documents in lists:
        if query_id not in grades:
            result.counts["unjudged_queries"] += 1
            result.unjudged += [query_id] if len(result.unjudged) < EXAMPLES else []
            continue
        if exclude_identical_ids:
            documents = {stage: [pair for pair in pairs if pair[1] != query_id] for stage, pairs in documents.items()}
        batch[query_id] = {stage: trec_order(documents[stage]) for stage in stages}
        size += len(batch[query_id][stages[0]])
        _count(result, query_id, documents[stages[0]], documents[stages[-1]], grades[query_id])
        if size >= BATCH_CANDIDATES:
            add(batch)
            batch, size = {}, 0
    add(batch)
    add({query_id: dict.fromkeys(stages, ()) for query_id in grades if query_id not in result.answered})
    return result


def _count(
    result: Evaluation,
    query_id: str,
    first: list[tuple[float, str]],
    last: list[tuple[float, str]],
    grades: Mapping[str, int],
) -> None:
    if first:
        result.answered.add(query_id)
    tied = len(last) - len({score for score, _ in last})
    result.counts["candidates"] += len(first)
    result.counts["judged"] += sum(document in grades for _, document in first)
    result.counts["identical"] += sum(document == query_id for _, document in first)
    result.counts["tied"] += tied
    result.counts["tied_queries"] += tied > 0
