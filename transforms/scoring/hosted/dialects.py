"""What hosted rerank APIs are asked and how they answer. Pure functions; the differences between servers are data.

`common` is the API that Jina and Cohere (v1 and v2) host and that vLLM and infinity serve. Taken from
docs.cohere.com/v2/reference/rerank, jina.ai/reranker, vLLM's entrypoints/pooling/scoring/protocol.py, infinity's client
(models/rerank_input.py, re_rank_result.py), text-embeddings-inference's router/src/http/types.rs (`tei`), "Use NVIDIA
NeMo Retriever Reranking NIM" on docs.nvidia.com (`nim`), docs.voyageai.com/reference/reranker-api, SGLang's
entrypoints/openai/protocol.py and serving_rerank.py, and the API page of Qwen3-Reranker on deepinfra.com; the places of
DeepInfra's instruction and of a query for each document are those of LiteLLM's llms/deepinfra/rerank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

# The largest number that is finite as float32. Its own largest is 2^128 - 2^104; halfway from there to 2^128 and beyond
# numbers are rounded to infinity.
LARGEST = math.nextafter(2.0**128 - 2.0**103, 0)
# A request's texts are those of a shard at most, 64 MiB; and so the sum of millions of requests fits Beam's counters.
MOST_TOKENS = 1 << 32


class Query(NamedTuple):
    """What documents are scored against."""

    text: str
    instruction: str | None = None


@dataclass(frozen=True)
class Api:
    """The names that one API gives to the parts of a request and of an answer.

    Attributes:
        documents: list of the documents in the request.
        count: how many results are wanted; None where the API always answers all.
        results: list of the results in the answer; None where the answer is that list itself.
        score: a result's score; its document's place in the request is "index" everywhere. None where a result is a
            score and the results are in the documents' order.
        takes_model: whether the request names a model.
        query: the query in the request.
        text: of an object in which each text stands; None where texts stand as they are.
        query_each: whether the query is a list, once for each document.
        instruction: of the query, in the request; None where the API has no place for one.
        tokens: where the answer says how many were used.
    """

    documents: str
    count: str | None
    results: str | None
    score: str | None
    takes_model: bool
    query: str = "query"
    text: str | None = None
    query_each: bool = False
    instruction: str | None = None
    tokens: tuple[str, ...] = ("usage", "total_tokens")


APIS = {
    "common": Api("documents", count="top_n", results="results", score="relevance_score", takes_model=True),
    "tei": Api("texts", count=None, results=None, score="score", takes_model=False),
    "nim": Api("passages", count=None, results="rankings", score="logit", takes_model=True, text="text"),
    "voyage": Api("documents", count="top_k", results="data", score="relevance_score", takes_model=True),
    "deepinfra": Api(
        "documents",
        count=None,
        results="scores",
        score=None,
        takes_model=False,
        query="queries",
        query_each=True,
        instruction="instruction",
        tokens=("input_tokens",),
    ),
    "sglang": Api("documents", count=None, results=None, score="score", takes_model=True, instruction="instruct"),
}


class WrongAnswerError(ValueError):
    """An answer that does not hold exactly one finite score for each document; the message says what is wrong."""


class OtherFormError(WrongAnswerError):
    """An answer that is none of this API: it has not the API's form, whatever was asked."""


def request_body(api: Api, model: str | None, query: Query, documents: Sequence[str]) -> dict[str, Any]:
    """The JSON of a request for the scores of all these documents; a model that is None is left to the server."""
    question, *texts = (text if api.text is None else {api.text: text} for text in (query.text, *documents))
    body: dict[str, Any] = {api.query: [question] * len(texts) if api.query_each else question, api.documents: texts}
    if api.takes_model and model is not None:
        body["model"] = model
    if api.count is not None:
        body[api.count] = len(documents)
    if api.instruction is not None and query.instruction is not None:
        body[api.instruction] = query.instruction
    return body


def read_scores(api: Api, answer: Any, documents: int) -> list[float]:
    """The scores that an answer gives, in the order of the request's documents, whatever its own order.

    Args:
        api: that was asked.
        answer: its decoded JSON.
        documents: how many were sent.

    Raises:
        WrongAnswerError: a document has no score or two of them, or a score is not a finite float32; an OtherFormError
            where it is not an answer of this API.
    """
    results = answer if api.results is None else answer.get(api.results) if isinstance(answer, dict) else None
    score_key = api.score or "score"
    if api.score is None and isinstance(results, list):
        results = [{"index": place, score_key: score} for place, score in enumerate(results)]
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise OtherFormError(f"the answer is not of the API's form; it begins {answer}")
    scores: dict[int, float] = {}
    for result in results:
        if lacking := {"index", score_key} - result.keys():
            raise OtherFormError(f"a result has no {min(lacking)}; it begins {result}")
        index, score = result["index"], result[score_key]
        if type(index) is not int or not 0 <= index < documents:
            raise WrongAnswerError(f"a result has the index {index}, of {documents} documents")
        if index in scores:
            raise WrongAnswerError(f"two results have the index {index}")
        if not _is_float32(score):
            raise WrongAnswerError(f"the result of index {index} has the {score_key} {score}")
        scores[index] = float(score)
    if len(scores) < documents:
        raise WrongAnswerError(f"results for {len(scores)} of {documents} documents")
    return [scores[index] for index in range(documents)]


def _is_float32(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= LARGEST


def read_tokens(api: Api, answer: Any) -> int:
    """The tokens that the answer says were used; 0 where it does not say, or says more than MOST_TOKENS."""
    for key in api.tokens:
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer if type(answer) is int and 0 <= answer <= MOST_TOKENS else 0
