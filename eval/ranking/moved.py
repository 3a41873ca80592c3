"""Which documents moved between two rankings of a query, and from where to where. Knows nothing of texts."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from eval.ranking.measures import trec_order
from eval.ranking.runs import RankedLists

MOST = 10  # documents named for each query


def rankings(source: RankedLists, wanted: Container[str], exclude_identical_ids: bool) -> dict[str, list[str]]:
    """The last ranking of a source, by query: document ids, best first.

    Args:
        source: candidate lists, which are read from end to end.
        wanted: ids of the queries to keep.
        exclude_identical_ids: leave out documents whose id is the query's.
    """
    stage = source.stages[-1]
    return {
        query_id: trec_order(pair for pair in stages[stage] if not (exclude_identical_ids and pair[1] == query_id))
        for query_id, stages in source.lists
        if query_id in wanted
    }


def moved(before: Sequence[str], after: Sequence[str], grades: Mapping[str, int]) -> list[dict[str, Any]]:
    """The documents with different ranks in two rankings, the relevant ones first, at most MOST.

    Within each kind come first those whose reciprocal rank (0 where a ranking lacks the document) changed most, those
    alike by id.

    Args:
        before: document ids, best first.
        after: likewise.
        grades: document id -> grade.

    Returns:
        doc_id; baseline_rank and run_rank, from 1, None where the ranking lacks it; grade, None where it has none.
    """
    ranks = [{document: rank for rank, document in enumerate(ranking, start=1)} for ranking in (before, after)]
    places = {document: (ranks[0].get(document), ranks[1].get(document)) for document in {*before, *after}}

    def importance(document: str) -> tuple[bool, float, str]:
        first, second = (1 / rank if rank else 0.0 for rank in places[document])
        return grades.get(document, 0) <= 0, -abs(first - second), document

    different = sorted((document for document, (first, second) in places.items() if first != second), key=importance)
    return [
        {
            "doc_id": document,
            "baseline_rank": places[document][0],
            "run_rank": places[document][1],
            "grade": grades.get(document),
        }
        for document in different[:MOST]
    ]
