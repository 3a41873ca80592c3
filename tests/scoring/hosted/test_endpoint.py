from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tenacity import RetryCallState, Retrying

from tests.support.stub_endpoint import (
    Exchange,
    RerankServer,
    Step,
    answer,
    answer_with,
    cut,
    cut_short,
    hang,
    results_of,
    say,
    status,
    unless,
)
from transforms.base.errors import UnavailableError, UserError
from transforms.schema import REASONS
from transforms.scoring.hosted import client, endpoint
from transforms.scoring.hosted.client import Answer, BusyError
from transforms.scoring.hosted.dialects import Query
from transforms.scoring.hosted.endpoint import Endpoint, Request, Settings, requests_of, specify
from transforms.scoring.reranker import Reranker
from transforms.scoring.reranker import specify as specify_any
from transforms.scoring.results import Failure, RankingTask, Scores

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def _quick_and_unkeyed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RERANK_API_KEY", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # to read all certificates takes longer than a test
    monkeypatch.setattr(endpoint, "FIRST_PAUSE", 0.01)


@pytest.fixture
def serve() -> Iterator[Callable[..., RerankServer]]:
    """`serve(*script, habit=...)` starts a server that runs until the test ends."""
    servers: list[RerankServer] = []

    def start(*script: Step, habit: Step | None = None) -> RerankServer:
        servers.append(RerankServer(script, habit).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def load(server: RerankServer, **settings: Any) -> Endpoint:
    """The endpoint of a server, one request at a time by default."""
    return specify(server.address, Settings(**{"endpoint_concurrency": 1, **settings})).load()


def score(server: RerankServer, *documents: str, **settings: Any) -> Scores:
    return load(server, **settings).score_tasks([RankingTask("q", documents)])


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
        Request(Query("q"), ["a", "b"], [[0, 2], [1]]),
        Request(Query("q"), ["c"], [[3]]),
        Request(Query("s"), ["a"], [[4]]),
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


# Troubles that pass


@pytest.mark.parametrize(
    "trouble",
    [
        status(429, "slow down", Retry_After="0"),
        status(429, "slow down"),
        status(503, "overloaded", Retry_After="0"),
        status(500, "oops"),
        status(502),
        status(408),
        cut,
        cut_short,
        say("<html>"),
        say("[]"),
        say('{"results": []}'),
        answer_with(lambda results: results[1:]),
        answer_with(lambda results: [*results, results[0]]),
    ],
)
@pytest.mark.parametrize("times", [1, 2])
def test_trouble_that_passes_costs_nothing(serve: Callable[..., RerankServer], trouble: Step, times: int) -> None:
    server = serve(answer, *[trouble] * times)
    scores = score(server, "0", "0.25", "0.5", "1", endpoint_batch=2)
    assert scores.score.tolist() == [0.0, 0.25, 0.5, 1.0]
    assert scores.failures == {}
    assert scores.counts == {"endpoint_requests": 2, "endpoint_tokens": 40}
    assert server.documents == ["0", "0.25", *["0.5", "1"] * (times + 1)]


@pytest.mark.parametrize("code", [429, 503])
def test_an_endpoint_that_is_busy_is_waited_for(serve: Callable[..., RerankServer], code: int) -> None:
    server = serve(*[status(code, Retry_After="0")] * 5)
    assert score(server, "0.25").score.tolist() == [0.25]
    assert [received.documents for received in server.received] == [["0.25"]] * 6  # no probe among them


def test_patience_lasts_while_the_endpoint_answers_anybody(serve: Callable[..., RerankServer]) -> None:
    scorer = load(serve(), endpoint_patience=300)
    waiting_long = RetryCallState(Retrying(), None, (), {})
    waiting_long.start_time = time.monotonic() - 400
    in_vain = scorer._patiently(BusyError, threading.Event()).stop
    assert in_vain(waiting_long)
    scorer.score("q", ["1"])
    assert not in_vain(waiting_long)
    waiting_long.upcoming_sleep = 301
    assert in_vain(waiting_long)


def test_an_answer_that_does_not_come_is_asked_for_again(
    serve: Callable[..., RerankServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = threading.Event()

    def hang_and_tell(exchange: Exchange) -> None:
        asked.set()
        hang(exchange)

    server = serve(hang_and_tell)
    scorer = load(server, endpoint_timeout=0.1)
    ask = scorer._client.ask

    def ask_and_wait_for_later_answers(query: Query, documents: Sequence[str]) -> Answer:
        try:
            return ask(query, documents)
        finally:
            assert asked.wait(300)
            scorer._client._sender.http.timeout = 300

    monkeypatch.setattr(scorer._client, "ask", ask_and_wait_for_later_answers)
    assert scorer.score("q", ["0.25", "0.5"]) == [0.25, 0.5]
    assert server.documents == ["0.25", "0.5"] * 2


def test_an_outage_within_patience_costs_no_document(serve: Callable[..., RerankServer]) -> None:
    server = serve(answer, *[status(500)] * 6)
    scores = score(server, "0.25", "0.5", endpoint_batch=1)
    assert scores.score.tolist() == [0.25, 0.5]
    assert scores.failures == {}
    # Two tries, the probe until it is answered, and the last try: an outage is waited for with the probe.
    assert [text for received in server.received for text in received.documents] == [
        "0.25",
        *["0.5"] * 2,
        *["test"] * 5,
        "0.5",
    ]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("soon", None),
        ("-5", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 0.0),
        ("Wed Oct 21 07:28:00 2015", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ("Fri Dec 31 23:59:59 9999", 86_400.0),
        ("Thu, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 +99999999999999999999", None),
        ("9" * 5000, 86_400.0),
        ("\u0663", None),
        ("", None),
        (",", None),
    ],
)
def test_seconds_of_retry_after(header: str | None, seconds: float | None) -> None:
    assert client.seconds_of(header) == seconds


def test_seconds_of_retry_after_as_a_date() -> None:
    then = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    seconds = client.seconds_of(format_datetime(then, usegmt=True))
    assert seconds is not None
    assert (then - datetime.now(UTC)).total_seconds() <= seconds <= 3600


# Documents that cannot be scored


def bad_in(documents: list[str]) -> bool:
    return "7" in documents


@pytest.mark.parametrize(
    ("trouble", "detail"),
    [
        (status(400, '{"message": "documents must\n not be 7"}'), 'HTTP 400: {"message": "documents must not be 7"}'),
        (status(422, "x" * 1000), "HTTP 422: " + "x" * 190),
        (status(403, "blocked"), "HTTP 403: blocked"),
        (status(500, "CUDA error"), "HTTP 500: CUDA error"),
        (cut, "connection lost: Server disconnected without sending a response."),
        (say("<html>"), "wrong answer: Expecting value: line 1 column 1 (char 0)"),
        (say("7"), "wrong answer: the answer is not of the API's form; it begins 7"),
        (say('{"results": [7]}'), "wrong answer: the answer is not of the API's form; it begins {'results': [7]}"),
        (say('{"results": []}'), "wrong answer: results for 0 of 1 documents"),
        (answer_with(lambda results: results[:-1]), "wrong answer: results for 0 of 1 documents"),
        (answer_with(lambda results: [*results, *results]), "wrong answer: two results have the index 0"),
        (
            answer_with(lambda results: [result | {"index": 9} for result in results]),
            "wrong answer: a result has the index 9, of 1 documents",
        ),
        (
            answer_with(lambda results: [result | {"index": -1} for result in results]),
            "wrong answer: a result has the index -1, of 1 documents",
        ),
        (
            answer_with(lambda results: [result | {"index": True} for result in results]),
            "wrong answer: a result has the index True, of 1 documents",
        ),
        *[
            (
                answer_with(lambda results, value=value: [result | {"relevance_score": value} for result in results]),  # type: ignore[misc]
                f"wrong answer: the result of index 0 has the relevance_score {value}",
            )
            for value in (None, "0.5", True, math.nan, math.inf, 1e39)
        ],
    ],
)
def test_the_one_document_that_fails_is_rejected(
    serve: Callable[..., RerankServer], trouble: Step, detail: str
) -> None:
    scorer = load(serve(answer, habit=unless(bad_in, trouble)))
    assert scorer.score("q", ["1"]) == [1.0]
    scores = scorer.score_tasks([RankingTask("q", ["0", "0.25", "7", "0.5", "1"])])
    assert scores.score.tolist()[:2] + scores.score.tolist()[3:] == [0.0, 0.25, 0.5, 1.0]
    assert math.isnan(scores.score[2])
    assert scores.failures == {2: Failure("endpoint_error", detail)}
    assert scores.counts["endpoint_splits"] == 2  # of five, of three
    assert "endpoint_error" in REASONS


def test_a_document_that_makes_the_endpoint_hang_is_rejected(serve: Callable[..., RerankServer]) -> None:
    scores = score(serve(habit=unless(bad_in, hang)), "7", endpoint_timeout=0.1)
    assert scores.failures == {0: Failure("endpoint_error", "no answer in 0.1 s")}


def test_each_pair_of_a_repeated_text_is_rejected(serve: Callable[..., RerankServer]) -> None:
    scores = score(serve(habit=unless(bad_in, status(400, "no"))), "7", "1", "7")
    assert scores.failures == {
        0: Failure("endpoint_error", "HTTP 400: no"),
        2: Failure("endpoint_error", "HTTP 400: no"),
    }


def test_too_many_documents_for_a_request_are_sent_in_parts(serve: Callable[..., RerankServer]) -> None:
    server = serve(habit=unless(lambda documents: len(documents) > 2, status(413, "batch size > 2")))
    assert score(server, "0", "0.25", "0.5", "1").score.tolist() == [0.0, 0.25, 0.5, 1.0]


def test_a_query_that_is_refused_rejects_its_documents_alone(serve: Callable[..., RerankServer]) -> None:
    def habit(exchange: Exchange) -> None:
        (status(400, "query is required") if exchange.received.body["query"] == "" else answer)(exchange)

    scores = load(serve(habit=habit)).score_tasks([RankingTask("", ["0", "1"]), RankingTask("q", ["0.5"])])
    failure = Failure("endpoint_error", "HTTP 400: query is required")
    assert scores.failures == {0: failure, 1: failure}
    assert scores.score[2] == 0.5


# What stops the job, with nothing rejected


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (status(401, "bad key"), "set RERANK_API_KEY to a key that it accepts (HTTP 401: bad key)"),
        (
            status(402, "no tokens left"),
            "the account lacks credit; when it has some, the same command continues (HTTP 402: no tokens left)",
        ),
        (status(404), "check the address in --model and the name in --endpoint_model (HTTP 404:)"),
        (status(405), "check the path in --model; it is not a rerank API (HTTP 405:)"),
    ],
)
def test_what_no_waiting_fixes_stops_at_once(serve: Callable[..., RerankServer], step: Step, message: str) -> None:
    server = serve(habit=step)
    with pytest.raises(UserError) as caught:
        score(server, *"abcdefgh", endpoint_batch=1)
    assert str(caught.value) == f"endpoint {server.address}: {message}"
    assert len(server.received) == 1


@pytest.mark.parametrize("code", [400, 403, 422])
def test_an_endpoint_that_refuses_everything_is_no_matter_of_documents(
    serve: Callable[..., RerankServer], code: int
) -> None:
    server = serve(habit=status(code, "model not found"))
    with pytest.raises(UserError) as caught:
        score(server, *"abcdefgh")
    assert str(caught.value) == (
        f"endpoint {server.address} refuses every request (HTTP {code}: model not found); "
        "check --model, --endpoint_model and --endpoint_api"
    )
    assert [received.documents for received in server.received] == [list("abcdefgh"), ["test"]]


@pytest.mark.parametrize("step", [status(500, "oops"), status(503, "oops"), status(429, "oops")])
def test_an_endpoint_that_fails_for_everybody_is_down(serve: Callable[..., RerankServer], step: Step) -> None:
    server = serve(answer, habit=step)
    with pytest.raises(
        UnavailableError, match=r"^endpoint http://127.0.0.1:\d+/v1/rerank gave no scores for \d+ s "
    ) as caught:
        score(server, *"01234567", endpoint_batch=1, endpoint_concurrency=2, endpoint_patience=0.3)
    assert str(caught.value).endswith("oops); the same command continues when it is back")


def test_an_endpoint_that_hangs_is_down(serve: Callable[..., RerankServer]) -> None:
    with pytest.raises(UnavailableError, match=r"\(no answer in 0.1 s\); the same command continues"):
        score(serve(habit=hang), "a", endpoint_timeout=0.1, endpoint_patience=0.3)


@pytest.mark.parametrize(
    "said",
    [
        "<html>Welcome</html>",
        '"Welcome"',
        '{"data": [{"index": 0}]}',
        '[{"index": 0, "score": 0.5}]',
        '{"results": [{"index": 0, "score": 0.5}]}',
    ],
)
def test_what_is_not_such_an_api_is_reported_after_the_first_request(
    serve: Callable[..., RerankServer], said: str
) -> None:
    server = serve(habit=say(said))
    with pytest.raises(UserError) as caught:
        score(server, "a", "b", endpoint_batch=1)
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        f"endpoint {server.address} does not answer as --endpoint_api says; check --model and --endpoint_api "
        f"(it answered: {said})"
    )
    assert len(server.received) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_pause_beyond_patience_is_not_waited_for(serve: Callable[..., RerankServer], form: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=7200), usegmt=True)
    header, pause = {"seconds": ("7200", "7200"), "date": (date, r"(?:7200|[67]\d\d\d)")}[form]
    server = serve(habit=status(429, "quota", Retry_After=header))
    with pytest.raises(UnavailableError, match=rf"for \d+ s and asks to wait {pause} s \(HTTP 429: quota\); the same"):
        score(server, "a")
    assert len(server.received) == 1


def test_an_address_that_nobody_listens_at_is_reported_at_once(serve: Callable[..., RerankServer]) -> None:
    server = serve()
    server.close()
    with pytest.raises(UserError) as caught:
        score(server, "a")
    assert str(caught.value) == (
        f"endpoint {server.address} cannot be reached ([Errno 111] Connection refused); "
        "check the address and that it is running"
    )


def test_an_endpoint_that_was_there_and_goes_away_is_down(serve: Callable[..., RerankServer]) -> None:
    server = serve()
    scorer = load(server, endpoint_patience=0.3)
    assert scorer.score("q", ["1"]) == [1.0]
    server.close()
    with pytest.raises(UnavailableError, match="Connection refused"):
        scorer.score("q", ["1"])


# The key, and the address


def test_the_key_goes_into_the_header_and_nowhere_else(
    serve: Callable[..., RerankServer], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RERANK_API_KEY", f" {KEY}\n")
    caplog.set_level(logging.DEBUG)
    server = serve(habit=unless(bad_in, status(400, f"not with {KEY}")))
    specification = specify(server.address, Settings())
    scorer = specification.load()
    scores = scorer.score_tasks([RankingTask("q", ["1", "7"])])
    assert {received.headers["Authorization"] for received in server.received} == {f"Bearer {KEY}"}
    assert scores.failures == {1: Failure("endpoint_error", "HTTP 400: not with [key]")}
    shown = [
        repr(specification),
        json.dumps(specification.fingerprint()),
        repr(scorer),
        repr(vars(scorer)),
        caplog.text,
    ]
    assert caplog.records
    assert [text for text in shown if KEY in text] == []


@pytest.mark.parametrize(
    "step",
    [
        status(401, f"unknown key {KEY}"),
        status(400, f"unknown key {KEY}"),
        status(307, Location=f"https://elsewhere.example/{KEY}"),
        status(500, KEY),
        say(f"{{{KEY}"),
        say(f'"{KEY}"'),
        cut,
    ],
)
def test_errors_do_not_show_the_key(
    serve: Callable[..., RerankServer], monkeypatch: pytest.MonkeyPatch, step: Step
) -> None:
    monkeypatch.setenv("RERANK_API_KEY", KEY)
    with pytest.raises(UserError) as caught:
        score(serve(habit=step), "a", endpoint_patience=0.3)
    error: BaseException | None = caught.value
    while error is not None:
        assert KEY not in f"{error!r} {error}"
        assert "\n" not in str(error)
        error = error.__cause__ or error.__context__


def test_a_redirect_is_not_followed(serve: Callable[..., RerankServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_API_KEY", KEY)
    other = serve()
    server = serve(status(307, Location=other.address))
    with pytest.raises(UserError) as caught:
        score(server, "a")
    assert str(caught.value) == (
        f"endpoint {server.address} redirects to {other.address}, which is not followed; "
        "give the final address as --model"
    )
    assert other.received == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("https://", "--model: this address has no host; give one like https://HOST/v1/rerank"),
        ("https://[::1/v1", "--model: this address is not valid; give one like https://HOST/v1/rerank"),
        (
            f"https://me:{KEY}@host.example/v1/rerank",
            "--model: a user or password in the address of host.example; give the key in RERANK_API_KEY",
        ),
        (
            f"https://host.example/v1/rerank?api-key={KEY}",
            "--model: api-key= in the address of host.example looks like a secret, and addresses are written to "
            "job.json; give the key in RERANK_API_KEY",
        ),
    ],
)
def test_addresses_that_are_none_or_carry_a_secret(address: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        specify(address, Settings())
    assert str(caught.value) == message


def test_a_harmless_query_string_is_kept(serve: Callable[..., RerankServer]) -> None:
    server = serve()
    address = f"{server.address}?api-version=2024-05-01"
    assert specify(address, Settings()).load().score("q", ["1"]) == [1.0]
    assert server.received[0].path == "/v1/rerank?api-version=2024-05-01"


def test_the_key_does_not_travel_in_clear_text(monkeypatch: pytest.MonkeyPatch) -> None:
    specify("http://host.example/v1/rerank", Settings())
    monkeypatch.setenv("RERANK_API_KEY", KEY)
    for address in (
        "https://host.example/rerank",
        "http://localhost:80/rerank",
        "http://127.0.0.9/",
        "http://[::1]:8/x",
    ):
        specify(address, Settings())
    for address in ("http://host.example/v1/rerank", "http://10.0.0.1/rerank", "http://localhost.example/rerank"):
        with pytest.raises(UserError) as caught:
            specify(address, Settings())
        assert str(caught.value) == (
            f"--model {address}: RERANK_API_KEY would travel unencrypted; use https://, or unset RERANK_API_KEY"
        )


@pytest.mark.parametrize("key", ["sk a", "sk\na", "sk-ä"])
def test_a_key_that_cannot_stand_in_a_header_is_not_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("RERANK_API_KEY", key)
    with pytest.raises(UserError) as caught:
        specify("https://host.example/v1/rerank", Settings())
    assert str(caught.value) == (
        "RERANK_API_KEY: holds a blank, a line break or a character beyond ASCII; set it again"
    )


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"endpoint_api": "soap"}, "--endpoint_api soap: give common or tei or nim or voyage or deepinfra or sglang"),
        (
            {"endpoint_api": "tei", "endpoint_model": "m"},
            "--endpoint_model: the API tei serves one model, unnamed; leave it out",
        ),
        ({"endpoint_batch": 0}, "--endpoint_batch 0: give a positive number"),
        ({"endpoint_timeout": -1.0}, "--endpoint_timeout -1.0: give a positive number"),
        (
            {"max_length": 512},
            "--max_length: does not apply to an endpoint, a model that runs elsewhere; leave it out",
        ),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        specify_any("https://host.example/v1/rerank", options=options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"device": "cpu", "dtype": "float32"}, "--device, --dtype"),
        (
            {"revision": "main", "like": "small-cross-encoder", "batch_tokens": 9},
            "--revision, --model_like, --batch_tokens",
        ),
    ],
)
def test_what_concerns_a_model_here_does_not_apply(arguments: dict[str, Any], names: str) -> None:
    with pytest.raises(UserError) as caught:
        specify_any("https://host.example/v1/rerank", **arguments)
    assert str(caught.value) == f"{names}: does not apply to an endpoint, a model that runs elsewhere; leave it out"


def test_options_of_endpoints_do_not_apply_to_models_here() -> None:
    with pytest.raises(UserError, match=r"^--endpoint_batch: does not apply to small-cross-encoder, a cross-encoder;"):
        specify_any("small-cross-encoder", options={"endpoint_batch": 10})


def test_fingerprint_has_what_decides_a_score_and_not_how_hard_it_is_tried() -> None:
    address = "https://host.example/v1/rerank"
    expected = {
        "model": {"endpoint": "https://host.example/v1/rerank"},
        "family": "endpoint",
        "settings": {"endpoint_model": "m", "endpoint_api": "common", "endpoint_batch": 100},
    }
    eager = {
        "endpoint_concurrency": 99,
        "endpoint_timeout": 1.0,
        "endpoint_connect_timeout": 1.0,
        "endpoint_patience": 9.0,
    }
    for options in ({}, eager):
        assert specify_any(address, options={"endpoint_model": "m", **options}).fingerprint() == expected


def test_an_address_is_not_loaded_as_a_model() -> None:
    with pytest.raises(UserError) as caught:
        Reranker.load("https://host.example/v1/rerank")
    assert str(caught.value) == (
        "https://host.example/v1/rerank: an endpoint is not loaded; use specify(ADDRESS, options={...}).load()"
    )
