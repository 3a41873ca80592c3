"""What a request says and how it is answered, in the dialect that `scoring.hosted.dialects` calls common.

Pure functions. Fields that other servers know and this one does not are read past, as those servers do.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from transforms.base.errors import UserError
from transforms.base.json_text import parse
from transforms.base.words import kind_of
from transforms.scoring.results import RankingTask, Scores
from transforms.scoring.scorer import Scorer


class RefusedError(Exception):
    """A request that is not answered with scores; the message says why in a line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status  # of HTTP


class ParsedRequest(NamedTuple):
    """A request that can be scored.

    Attributes:
        task: the query and the documents' texts as the model reads them.
        top_n: how many results are wanted; None for all.
        return_documents: whether results carry the texts.
    """

    task: RankingTask
    top_n: int | None
    return_documents: bool


def read(body: bytes, scorer: Scorer, max_documents: int) -> ParsedRequest:
    """What a request asks for.

    Raises:
        RefusedError: it is not JSON (400), or a field of it is missing, of another type or out of bounds (422).
    """
    try:
        fields = parse(body)
    except ValueError as error:
        raise RefusedError(400, f"the body is not JSON ({error})") from None
    if not isinstance(fields, dict):
        raise RefusedError(422, f"the body is {kind_of(fields)}; give an object with query and documents")
    if missing := [name for name in ("query", "documents") if fields.get(name) is None]:
        raise RefusedError(422, f"{' and '.join(missing)}: missing; give a text as query and a list as documents")
    top_n, return_documents = fields.get("top_n"), fields.get("return_documents") or False
    if top_n is not None and (type(top_n) is not int or top_n < 1):
        raise RefusedError(422, f"top_n: {top_n!r}; give a positive whole number, or leave it out")
    if not isinstance(return_documents, bool):
        raise RefusedError(422, f"return_documents: {return_documents!r}; give true or false")
    documents = fields.get("documents")
    if isinstance(documents, list) and len(documents) > max_documents:
        raise RefusedError(422, f"documents: {len(documents)} of them; give {max_documents} at most")
    try:
        task = scorer.checked(fields.get("query"), documents, fields.get("instruction"))
    except UserError as error:
        raise RefusedError(422, str(error)) from None
    return ParsedRequest(task, top_n, return_documents)


def answer(parsed: ParsedRequest, scores: Scores, model: str) -> Mapping[str, Any]:
    """The answer's JSON, best result first; equal scores in the order of the request.

    Raises:
        RefusedError: a document has no score (422).
    """
    for place, failure in scores.failures.items():
        raise RefusedError(422, f"documents[{place}] has no score: {failure.reason} ({failure.detail})")
    order = np.argsort(-scores.score, kind="stable")[: parsed.top_n].tolist()
    return {
        "id": str(uuid.uuid4()),
        "model": model,
        "results": [_result(place, scores.score, parsed) for place in order],
        "usage": {"total_tokens": 0 if scores.tokens is None else int(scores.tokens.sum(dtype=np.int64))},
    }


def _result(place: int, scores: Sequence[float] | Any, parsed: ParsedRequest) -> dict[str, Any]:
    result: dict[str, Any] = {"index": place, "relevance_score": float(scores[place])}
    if parsed.return_documents:
        result["document"] = {"text": parsed.task.documents[place]}
    return result
