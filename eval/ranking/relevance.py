"""What makes a document relevant to a query, and what can be measured by it: judgements, or answers in the passages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ir_measures import Measure, Success

from eval.ranking import passages
from eval.ranking.answers import read_answers
from eval.ranking.measures import parse_measures
from eval.ranking.qrels import Judgements, read_qrels
from transforms.base.errors import UserError
from transforms.base.files import sha256

# nDCG@10 is what nearly every comparison publishes; RR@10 and R@10 show whether the first hit or the number of hits
# made it. Of lists of up to 100 candidates, R@100 would say what SetR says.
DEFAULT_MEASURES = ("nDCG@10", "RR@10", "R@10")
ANSWERS_MEASURES = ("Recall@10",)

# Always shown, for no order of the candidates can find what is not among them.
LIST_RECALL = "SetR"
LIST_HIT, WHOLE_LIST = "Recall", Success @ 1_000_000  # longer than any list

RECALL = re.compile("Recall@([1-9][0-9]{0,5})")


@dataclass(frozen=True)
class Relevance:
    """The relevant documents, and what to measure by them.

    Attributes:
        kind: qrels or answers.
        judgements: the grades; of answers, 1 for each candidate that holds one.
        measures: name -> measure, in the order asked for. MKQA calls Recall@k what is Success@k elsewhere: the share of
            the queries with a relevant document among the first k.
        whole_list: the name of the measure that depends on the candidates and not on their order.
        provenance: what a report must say of it.
        counts: what is to be counted of it beside the judgements.
        listed: the pairs that could be judged; None where any can.
    """

    kind: str
    judgements: Judgements
    measures: Mapping[str, Measure]
    whole_list: str
    provenance: Mapping[str, Any]
    counts: dict[str, int]
    listed: passages.Listed | None = None


def by_qrels(location: str, names: Sequence[str] | None) -> Relevance:
    """Relevance by a qrels file; without names of measures, DEFAULT_MEASURES.

    Raises:
        UserError: a measure or the file is wrong.
    """
    measures = parse_measures([*(names or DEFAULT_MEASURES), LIST_RECALL])
    judgements = read_qrels(location)
    provenance = {"qrels": location, "qrels_sha256": sha256(location)}
    named = {str(measure): measure for measure in measures}
    return Relevance("qrels", judgements, named, LIST_RECALL, provenance, {})


def by_answers(
    location: str, names: Sequence[str] | None, candidates: Sequence[str] | None, job: Mapping[str, Any]
) -> Relevance:
    """Relevance by the answers that a candidate's title and text hold; without names of measures, ANSWERS_MEASURES.

    Args:
        location: the answers, see `eval.ranking.answers.read_answers`.
        names: of measures, Recall@k.
        candidates: the candidate files; by default those that the job read.
        job: what job.json says.

    Raises:
        UserError: a measure or a file is wrong.
    """
    measures = parse_recalls(names or ANSWERS_MEASURES) | {LIST_HIT: WHOLE_LIST}
    answers = read_answers(location)
    paths = passages.candidate_files(candidates, job)
    grades, listed = passages.judge(answers, paths)
    provenance = {"answers": location, "answers_sha256": sha256(location), "candidates": paths}
    counts = {"queries_without_answers": sum(not spelled for spelled in answers.values())}
    return Relevance("answers", Judgements(grades, 0), measures, LIST_HIT, provenance, counts, listed)


def parse_recalls(names: Sequence[str]) -> dict[str, Measure]:
    """Recall@k as MKQA means it, by name.

    Raises:
        UserError: a name is another.
    """
    matches = {name: RECALL.fullmatch(name) for name in names}
    wrong = [repr(name) for name, match in matches.items() if match is None]
    if wrong:
        raise UserError(f"--measures: cannot compute {', '.join(wrong)} by answers; give Recall@10 or another Recall@k")
    return {name: Success @ int(match[1]) for name, match in matches.items() if match}
