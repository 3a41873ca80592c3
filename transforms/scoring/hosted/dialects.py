"""What hosted rerank APIs are asked and how they answer. Pure functions; the differences between servers are data.

`common` is the API that Jina and Cohere (v1 and v2) host and that vLLM and infinity serve; `tei` is that of Hugging
Face's text-embeddings-inference. Taken from docs.cohere.com/v2/reference/rerank, jina.ai/reranker, vLLM's
entrypoints/pooling/scoring/protocol.py, infinity's client (models/rerank_input.py, re_rank_result.py) and
text-embeddings-inference's router/src/http/types.rs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Api:
    """The names that one API gives to the parts of a request and of an answer.

    Attributes:
        documents: list of the documents in the request.
        count: how many results are wanted; None where the API always answers all.
        results: list of the results in the answer; None where the answer is that list itself.
        score: a result's score; its document's place in the request is "index" everywhere.
        takes_model: whether the request names a model.
    """

    documents: str
    count: str | None
    results: str | None
    score: str
    takes_model: bool


APIS = {
    "common": Api("documents", count="top_n", results="results", score="relevance_score", takes_model=True),
    "tei": Api("texts", count=None, results=None, score="score", takes_model=False),
}


class WrongAnswerError(ValueError):
    """An answer that does not hold exactly one finite score for each document; the message says what is wrong."""


class OtherFormError(WrongAnswerError):
    """An answer that is none of this API: it has not the API's form, whatever was asked."""


def request_body(api: Api, model: str | None, query: str, documents: Sequence[str]) -> dict[str, Any]:
    """The JSON of a request for the scores of all these documents; a model that is None is left to the server."""
    body: dict[str, Any] = {"query": query, api.documents: list(documents)}
    if api.takes_model and model is not None:
        body["model"] = model
    if api.count is not None:
        body[api.count] = len(documents)
    return body


def read_scores(api: Api, answer: Any, documents: int) -> list[float]:
    """The scores that an answer gives, in the order of the request's documents, whatever its own order.

    Args:
        api: that was asked.
        answer: its decoded JSON.
        documents: how many were sent.

    Raises:
        WrongAnswerError: a document has no score or two of them, or a score is no finite float32; an OtherFormError
            where it is no answer of this API.
    """
    results = answer if api.results is None else answer.get(api.results) if isinstance(answer, dict) else None
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise OtherFormError(f"the answer is not of the API's form; it begins {answer}")
    scores: dict[int, float] = {}
    for result in results:
        if lacking := {"index", api.score} - result.keys():
            raise OtherFormError(f"a result has no {min(lacking)}; it begins {result}")
        index, score = result["index"], result[api.score]
        if type(index) is not int or not 0 <= index < documents:
            raise WrongAnswerError(f"a result has the index {index}, of {documents} documents")
        if index in scores:
            raise WrongAnswerError(f"two results have the index {index}")
        if not _is_float32(score):
            raise WrongAnswerError(f"the result of index {index} has the {api.score} {score}")
        scores[index] = float(score)
    if len(scores) < documents:
        raise WrongAnswerError(f"results for {len(scores)} of {documents} documents")
    return [scores[index] for index in range(documents)]


def _is_float32(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= float(np.finfo(np.float32).max)


def read_tokens(answer: Any) -> int:
    """The tokens that the answer says were used; 0 where it does not say."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
    return tokens if type(tokens) is int and tokens >= 0 else 0
