from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable

import numpy as np
import pytest

from tests.support.endpoint_calls import load, score
from tests.support.stub_endpoint import (
    Exchange,
    RerankServer,
    answer,
    answer_with,
    results_of,
    say,
    status,
    unless,
)
from transforms.scoring.hosted.dialects import Query
from transforms.scoring.hosted.endpoint import EndpointRequest, requests_of
from transforms.scoring.results import RankingTask

pytestmark = pytest.mark.usefixtures("quick_and_unkeyed")


# Requests and answers as they should be


def test_scores_stand_in_the_order_of_the_input(serve: Callable[..., RerankServer]) -> None:
    server = serve()
    tasks = [RankingTask("first", ["0.5", "0.25", "0.75"]), RankingTask("none", []), RankingTask("last", ["1", "0"])]
    scores = load(server, endpoint_model="m", endpoint_batch=2).score_tasks(tasks)
    assert scores.score.tolist() == [0.5, 0.25, 0.75, 1.0, 0.0]
    assert scores.score.dtype == np.float32
    assert scores.failures == {}
    assert [scores.tokens, scores.truncated_tokens, scores.windows] == [None, None, None]
    assert scores.counts == {"endpoint_requests": 3, "endpoint_tokens": 50}
    assert list(scores.seconds) == ["endpoint"]
    assert [received.body for received in server.received] == [
        {"model": "m", "query": "first", "documents": ["0.5", "0.25"], "top_n": 2},
        {"model": "m", "query": "first", "documents": ["0.75"], "top_n": 1},
        {"model": "m", "query": "last", "documents": ["1", "0"], "top_n": 2},
    ]
    assert {received.path for received in server.received} == {"/v1/rerank"}
    assert not any("Authorization" in received.headers for received in server.received)


def test_results_out_of_order(serve: Callable[..., RerankServer]) -> None:
    server = serve(habit=answer_with(lambda results: sorted(results, key=lambda result: -result["relevance_score"])))
    assert score(server, "0.25", "1", "0.5").score.tolist() == [0.25, 1.0, 0.5]


def test_text_embeddings_inference_has_other_names(serve: Callable[..., RerankServer]) -> None:
    def as_tei(exchange: Exchange) -> None:
        results = [
            {"index": result["index"], "score": result["relevance_score"]} for result in results_of(exchange.received)
        ]
        exchange.send(200, json.dumps(results[::-1]))

    server = serve(habit=as_tei)
    assert score(server, "0.25", "0.5", endpoint_api="tei").score.tolist() == [0.25, 0.5]
    assert server.received[0].body == {"query": "q", "texts": ["0.25", "0.5"]}


def test_whole_numbers_and_negative_scores_are_scores(serve: Callable[..., RerankServer]) -> None:
    server = serve(
        habit=say('{"results": [{"index": 1, "relevance_score": -3}, {"index": 0, "relevance_score": 1e-3}]}')
    )
    assert score(server, "a", "b").score.tolist() == [np.float32(0.001), -3.0]


def test_texts_that_a_list_repeats_are_sent_once(serve: Callable[..., RerankServer]) -> None:
    server = serve()
    assert score(server, "0.5", "1", "0.5", "0.5", endpoint_batch=2).score.tolist() == [0.5, 1.0, 0.5, 0.5]
    assert server.documents == ["0.5", "1"]


def test_requests_of() -> None:
    tasks = [RankingTask("q", ["a", "b", "a", "c"]), RankingTask("r", []), RankingTask("s", ["a"])]
    assert list(requests_of(tasks, 2)) == [
        EndpointRequest(Query("q"), ["a", "b"], [[0, 2], [1]]),
        EndpointRequest(Query("q"), ["c"], [[3]]),
        EndpointRequest(Query("s"), ["a"], [[4]]),
    ]


def test_an_empty_text_is_sent_as_it_is(serve: Callable[..., RerankServer]) -> None:
    server = serve()
    assert load(server).score_tasks([RankingTask("", [""])]).score.tolist() == [0.0]
    assert server.received[0].body == {"query": "", "documents": [""], "top_n": 1}


def test_nothing_to_score_sends_nothing(serve: Callable[..., RerankServer]) -> None:
    server = serve()
    assert load(server).score_tasks([RankingTask("q", [])]).score.tolist() == []
    assert load(server).score_tasks([]).score.tolist() == []
    assert server.received == []


def test_progress_reports_pairs_and_the_tokens_of_the_answer(serve: Callable[..., RerankServer]) -> None:
    progress: list[tuple[float, int]] = []
    task = RankingTask("q", ["1", "1", "0", "0.5"])
    load(serve(), endpoint_batch=2).score_tasks([task], lambda pairs, tokens: progress.append((pairs, tokens)))
    assert sorted(progress) == [(1, 10), (3, 20)]


def test_requests_are_under_way_together_but_not_more_than_allowed(serve: Callable[..., RerankServer]) -> None:
    together = threading.Barrier(3, timeout=300)
    lock, under_way, most = threading.Lock(), [0], [0]

    def meet(exchange: Exchange) -> None:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        together.wait()  # three at once, or an error
        with lock:
            under_way[0] -= 1
        answer(exchange)

    texts = [str(number / 16) for number in range(12)]
    scores = score(serve(habit=meet), *texts, endpoint_batch=1, endpoint_concurrency=3)
    assert scores.score.tolist() == [number / 16 for number in range(12)]
    assert most == [3]


def test_scores_of_a_query_in_python(serve: Callable[..., RerankServer]) -> None:
    scorer = load(serve(habit=unless(lambda documents: "7" in documents, status(400, "no sevens"))))
    assert scorer.score("q", ["1", "0.5"]) == [1.0, 0.5]
    first, second = scorer.score_lists([("q", ["1", "7"]), ("r", ["0.5"])])
    assert first[0] == 1.0
    assert math.isnan(first[1])
    assert second == [0.5]
