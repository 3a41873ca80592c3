"""An endpoint in trouble: what is asked for again, what is rejected, and what ends the job."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tenacity import RetryCallState, Retrying

from tests.support.endpoint_calls import bad_in, load, score
from tests.support.stub_endpoint import (
    Exchange,
    RerankServer,
    Step,
    answer,
    answer_with,
    cut,
    cut_short,
    hang,
    say,
    status,
    unless,
)
from transforms.base.errors import UnavailableError, UserError
from transforms.schema import REASONS
from transforms.scoring.hosted import client
from transforms.scoring.hosted.client import Answer, BusyError
from transforms.scoring.hosted.dialects import Query
from transforms.scoring.results import Failure, RankingTask

pytestmark = pytest.mark.usefixtures("quick_and_unkeyed")


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
    hanging = threading.Event()

    def hang_and_tell(exchange: Exchange) -> None:
        hanging.set()
        hang(exchange)

    server = serve(hang_and_tell)
    scorer = load(server, endpoint_timeout=0.1)
    ask = scorer._client.ask

    def ask_and_wait_for_later_answers(query: Query, documents: Sequence[str]) -> Answer:
        try:
            return ask(query, documents)
        finally:
            assert hanging.wait(300)
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


def test_a_text_with_half_a_character_is_rejected_and_not_sent(serve: Callable[..., RerankServer]) -> None:
    server = serve()
    scores = score(server, "1", "a\ud800", "0.5")
    assert [scores.score[0], scores.score[2]] == [1.0, 0.5]
    detail = "not sent: half a character in the text, which JSON in UTF-8 cannot hold"
    assert scores.failures == {1: Failure("endpoint_error", detail)}


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
