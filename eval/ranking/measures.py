"""Measures rankings against judgements, through ir-measures. Pure: knows nothing of files, stages or tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import ir_measures
from ir_measures import Measure
from ir_measures.providers import FallbackProvider

from transforms.base.errors import UserError, one_line
from transforms.base.trec import MAX_GRADE

# trec_eval's measures, RR with a cutoff, and Judged. The other providers of ir-measures need Perl or further packages,
# or write ids into files separated by white space.
PROVIDER = FallbackProvider([ir_measures.pytrec_eval, ir_measures.msmarco, ir_measures.judged])


def parse_measures(names: Iterable[str]) -> list[Measure]:
    """Measures from ir-measures' notation (https://ir-measur.es), in the order given, each once.

    Raises:
        UserError: some names are not measures that can be computed here; all of them are reported.
    """
    measures: dict[Measure, None] = {}
    problems = []
    for name in names:
        try:
            measures[_parse(name)] = None
        except Exception as problem:  # ir-measures raises NameError, AssertionError, TypeError and more for a bad name
            problems.append(f"{name!r} ({one_line(problem)})")
    if problems:
        raise UserError(
            f"--measures: cannot compute {', '.join(problems)}; write them as nDCG@10, RR@10, R@100, R(rel=2)@100, AP"
        )
    return list(measures)


def _parse(name: str) -> Measure:
    measure = ir_measures.parse_measure(name)
    missing = [
        param for param, info in measure.SUPPORTED_PARAMS.items() if info.required and param not in measure.params
    ]
    if missing:
        raise ValueError(f"{measure.NAME} needs {', '.join(missing)}")
    measure.validate_params()
    if measure.params.get("cutoff", 1) < 1:
        raise ValueError("the cutoff must be at least 1")  # trec_eval would end the process
    if not all(isinstance(gain, int) and 0 <= gain <= MAX_GRADE for gain in measure.params.get("gains", {}).values()):
        raise ValueError(f"gains must be whole numbers from 0 to {MAX_GRADE}")  # trec_eval has a table of that length
    if not PROVIDER.supports(measure):
        raise ValueError("not among the measures offered")
    list(PROVIDER.iter_calc([measure], {"q": {"d": 1}}, {"q": {"d": 1.0}}))  # finds what only a computation finds
    return measure


def trec_order(documents: Iterable[tuple[float, str]]) -> list[str]:
    """Document ids of (score, document id) pairs, best first: score descending, then document id descending.

    This is trec_eval's order (form_res_rels.c), with scores compared as they are, not narrowed to 32 bits.
    """
    return [document for _, document in sorted(documents, reverse=True)]


def per_query(
    measures: Iterable[Measure],
    grades: Mapping[str, Mapping[str, int]],
    rankings: Mapping[str, Sequence[str]],
) -> dict[Measure, dict[str, float]]:
    """Value of each measure for each query.

    The libraries are given the place of a document in place of its id and score, so that one tie rule holds for all:
    given equal scores, trec_eval takes the higher id first and the RR@k of ir-measures the lower one, and trec_eval
    calls scores equal that differ beyond 32 bits. Nor do they see ids with odd characters (trec_eval ends one at NUL).

    Args:
        measures: what to compute.
        grades: query id -> document id -> grade; must hold every query of `rankings`.
        rankings: query id -> distinct document ids, best first; an empty ranking counts as none at all.
    """
    judged = {query: by_place(grades[query], ranking) for query, ranking in rankings.items()}
    ranked = {query: _places(len(ranking)) for query, ranking in rankings.items() if ranking}
    # One measure at a time: asked for together, nDCGs with different gains overwrite each other in ir-measures 0.4.3.
    return {
        measure: {metric.query_id: metric.value for metric in PROVIDER.iter_calc([measure], judged, ranked)}
        for measure in measures
    }


def mean(measure: Measure, values: Iterable[float]) -> float:
    """A measure over queries as ir-measures aggregates it: the mean, for counts the sum."""
    aggregator = measure.aggregator()
    for value in values:
        aggregator.add(value)
    return float(aggregator.result())


@lru_cache(maxsize=16)  # most lists of a job have the same length
def _places(length: int) -> dict[str, float]:
    """A ranking of `length` documents named by their places from 0, with scores that fall from place to place."""
    return {str(place): float(length - place) for place in range(length)}


def by_place(grades: Mapping[str, int], ranking: Sequence[str]) -> dict[str, int]:
    """One query's judgements by the document's place in the ranking, by a negative number where it has none.

    Where all grades are negative they become 0, by which nothing is relevant either; what trec_eval (in
    pytrec_eval-terrier 0.5.11) does with such a query is not to be relied on.
    """
    places = {document: place for place, document in enumerate(ranking)}
    none_counts = max(grades.values(), default=0) < 0
    return {
        str(places.get(document, ~index)): 0 if none_counts else grade
        for index, (document, grade) in enumerate(grades.items())
    }
