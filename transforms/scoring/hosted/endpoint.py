"""A hosted rerank API as the model: texts go to an address, scores come back, and nothing is computed here.

What happens when a request fails, and why. Three things must not happen: that a score is made up, that one odd
document costs the job, and that an outage turns a night's work into rejected rows.

- Too many requests (429, 503): sent again after the pause that the endpoint names, or a growing one.
- A fault (another 5xx, a time-out, a cut connection, an answer that lacks a score): sent again soon, and a last time
  when the endpoint is known to answer others.
- A refusal (400, 413, 422 and the like), and a fault that persists: many APIs refuse a whole request for one empty or
  over-long text, or for too many of them. So the request is sent again in halves, down to the single document that
  cannot be scored; that one alone is rejected, as endpoint_error.
- Before any of this is blamed on a document, the endpoint must have answered something since the request began, be it
  another request or a probe of two words. One that does not answer for `endpoint_patience` seconds is down:
  UnavailableError ends the job, the shard in hand is not committed, and the same command continues.
- What no waiting fixes (the key, the account, the address; an endpoint that refuses the probe too, or whose first
  answer is none of the API) is a UserError.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, NoReturn

import numpy as np
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.nap import sleep_using_event

from transforms.base.errors import UnavailableError, UserError
from transforms.scoring.choices import ENDPOINT_BATCH, ENDPOINT_CONCURRENCY
from transforms.scoring.hosted.client import (
    BusyError,
    Client,
    FaultError,
    NoScoresError,
)
from transforms.scoring.hosted.dialects import APIS, Query
from transforms.scoring.hosted.key import authorization, check_address
from transforms.scoring.model import Model
from transforms.scoring.results import Failure, RankingTask, Scores
from transforms.scoring.scorer import Scorer, no_progress

TRIES = 3  # of a request that meets faults; the last after the endpoint has answered something else
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds, doubling in between
LONG_WAIT = 5.0  # seconds from which on a pause is reported
PROBE = (Query("test"), ("test",))

# How hard to try decides no score.
_TRYING = ("endpoint_concurrency", "endpoint_connect_timeout", "endpoint_timeout", "endpoint_patience")


@dataclass(frozen=True)
class Settings:
    """How to use the endpoint.

    Attributes:
        endpoint_model: the model's name there; None for the server's own.
        endpoint_api: key of `dialects.APIS`.
        endpoint_batch: documents in a request, at most; a listwise model behind the API sees these together.
        endpoint_concurrency: requests at once, at most, from each worker process.
        endpoint_connect_timeout: seconds until a connection must stand.
        endpoint_timeout: seconds without a byte of the answer after which a request has failed.
        endpoint_patience: seconds without any answer after which the endpoint counts as down.
    """

    endpoint_model: str | None = None
    endpoint_api: str = "common"
    endpoint_batch: int = ENDPOINT_BATCH
    endpoint_concurrency: int = ENDPOINT_CONCURRENCY
    endpoint_connect_timeout: float = 10.0
    endpoint_timeout: float = 120.0
    endpoint_patience: float = 300.0


# The settings are all that is known of the model behind an address.
MODEL = Model("an endpoint", "model that runs elsewhere", Settings(), licence="its host's terms", parameters=0)


@dataclass(frozen=True)
class NoExecution:
    """Nothing is computed here: no device, dtype or batch of ours decides a score."""


@dataclass(frozen=True)
class EndpointSpecification:
    """An endpoint to use, checked as far as can be without asking it; a `scorer.ScorerSpecification`."""

    url: str
    settings: Settings
    execution: NoExecution = NoExecution()
    model: Model = MODEL
    hosted: bool = True
    leaves_cpu_free: bool = True

    def fingerprint(self) -> dict[str, Any]:
        """What decides the scores, as far as can be known from here."""
        settings = {name: value for name, value in asdict(self.settings).items() if name not in _TRYING}
        return {"model": {"endpoint": self.url}, "family": "endpoint", "settings": settings}

    def parameters(self) -> None:
        """Unknown."""

    def gpus(self) -> int:
        """None is used."""
        return 0

    def with_best_batch(self, tasks: Iterable[RankingTask], *, keep: bool) -> EndpointSpecification:
        """The same: what goes together in a pass is the host's affair."""
        return self

    def load(self) -> Endpoint:
        """The endpoint, ready to be asked."""
        return Endpoint(self)


def specify(url: str, settings: Settings) -> EndpointSpecification:
    """Check an endpoint's address and settings; nothing is sent.

    Raises:
        UserError: the address is none, carries a secret, or would carry the key in clear text; a setting does not fit.
    """
    check_place(url)
    check_settings(settings)
    return EndpointSpecification(url, settings)


def check_place(url: str) -> None:
    """Refuse an address that is none, and a key that cannot be sent to it.

    Raises:
        UserError: one is wrong.
    """
    check_address(url)
    authorization(url)


def check_settings(settings: Settings) -> None:
    """Refuse settings that do not fit.

    Raises:
        UserError: one does not.
    """
    if settings.endpoint_api not in APIS:
        raise UserError(f"--endpoint_api {settings.endpoint_api}: give {' or '.join(APIS)}")
    if settings.endpoint_model is not None and not APIS[settings.endpoint_api].takes_model:
        raise UserError(f"--endpoint_model: the API {settings.endpoint_api} serves one model, unnamed; leave it out")
    for name, value in asdict(settings).items():
        if name in ("endpoint_batch", *_TRYING) and not 0 < value < float("inf"):
            raise UserError(f"--{name} {value}: give a positive number")


class EndpointRequest(NamedTuple):
    """Documents to score against a query, each text once, with the pairs that each stands for."""

    query: Query
    documents: list[str]
    pairs: list[list[int]]


def requests_of(tasks: Sequence[RankingTask], batch: int) -> Iterator[EndpointRequest]:
    """The tasks' pairs as requests of at most `batch` documents; a text that a list has twice is sent once.

    Pairs are numbered over all tasks.
    """
    start = 0
    for task in tasks:
        pairs: dict[str, list[int]] = defaultdict(list)
        for pair, document in enumerate(task.documents, start):
            pairs[document].append(pair)
        documents = list(pairs)
        for first in range(0, len(documents), batch):
            chosen = documents[first : first + batch]
            yield EndpointRequest(Query(task.query, task.instruction), chosen, [pairs[document] for document in chosen])
        start += len(task.documents)


class Reply(NamedTuple):
    """What became of a request: a score or a failure for each document, and counts as in `Scores`."""

    outcomes: list[float | Failure]
    counts: Counter[str]


class Endpoint(Scorer):
    """A hosted rerank API that is asked for scores; see the module for what it does about failures."""

    def __init__(self, specification: EndpointSpecification) -> None:
        """Nothing is sent yet; for the errors see `client.Client`."""
        self.specification = specification
        settings = specification.settings
        self._client = Client(
            specification.url,
            APIS[settings.endpoint_api],
            settings.endpoint_model,
            timeout=settings.endpoint_timeout,
            connect_timeout=settings.endpoint_connect_timeout,
            connections=settings.endpoint_concurrency,
        )
        self.takes_instruction = APIS[settings.endpoint_api].instruction is not None
        self._probing = threading.Lock()

    def score_tasks(self, tasks: Sequence[RankingTask], progress: Callable[[float, int], None] = no_progress) -> Scores:
        """Scores of all pairs, as the endpoint gives them; what it cut off a text cannot be known.

        Args:
            tasks: queries with their documents.
            progress: called after each answer with its pairs and the tokens that the endpoint counted.

        Raises:
            UnavailableError: the endpoint is down.
            UserError: the key, the account or the address does not do, or a query has an instruction, for which the
                API has no place.
        """
        begin = time.perf_counter()
        settings = self.specification.settings
        self.check_instructions(tasks)
        scores = Scores(np.full(sum(len(task.documents) for task in tasks), np.nan, dtype=np.float32))
        cancelled = threading.Event()
        with ThreadPoolExecutor(settings.endpoint_concurrency, "endpoint") as pool:
            requests = {
                pool.submit(self._reply_or_cancel, request, cancelled): request
                for request in requests_of(tasks, settings.endpoint_batch)
            }
            try:
                for done in as_completed(requests):
                    if isinstance(done.exception(), CancelledError):
                        continue  # for the sake of another one's error, which comes too
                    request, reply = requests[done], done.result()
                    _enter(scores, request, reply)
                    progress(sum(map(len, request.pairs)), reply.counts["endpoint_tokens"])
            except BaseException:
                cancelled.set()
                raise
        scores.seconds = {"endpoint": time.perf_counter() - begin}
        return scores

    def _reply_or_cancel(self, request: EndpointRequest, cancelled: threading.Event) -> Reply:
        """What became of a request; an error that ends the job cancels the others, before this thread begins one."""
        try:
            return self._reply(request.query, request.documents, cancelled)
        except BaseException:
            cancelled.set()
            raise

    def _reply(self, query: Query, documents: Sequence[str], cancelled: threading.Event) -> Reply:
        """Ask for scores, in halves where it must be, until each document has one or is known to get none."""
        began = time.monotonic()

        def before_a_try(state: RetryCallState) -> None:
            if state.attempt_number == TRIES:
                self._make_sure_it_answers(began, cancelled)

        trying = Retrying(
            retry=retry_if_exception_type(FaultError),
            stop=stop_after_attempt(TRIES),
            wait=_pause,
            sleep=sleep_using_event(cancelled),
            before=before_a_try,
            reraise=True,
        )
        try:
            reply: Reply = trying(self._patiently(BusyError, cancelled), self._ask, query, documents, cancelled)
            return reply
        except NoScoresError as error:
            self._make_sure_it_answers(began, cancelled)
            if len(documents) == 1:
                return Reply([Failure("endpoint_error", str(error))], Counter())
        middle = len(documents) // 2
        first = self._reply(query, documents[:middle], cancelled)
        second = self._reply(query, documents[middle:], cancelled)
        counts = first.counts + second.counts + Counter(endpoint_splits=1)
        return Reply(first.outcomes + second.outcomes, counts)

    def _make_sure_it_answers(self, since: float, cancelled: threading.Event) -> None:
        """Return when the endpoint has answered something since then; for the errors see the module."""
        with self._probing:
            if self._client.answered < since:
                try:
                    self._patiently((BusyError, FaultError), cancelled)(self._ask, *PROBE, cancelled)
                except NoScoresError as error:
                    raise UserError(
                        f"endpoint {self.specification.url} refuses every request ({error}); "
                        "check --model, --endpoint_model and --endpoint_api"
                    ) from None

    def _patiently(
        self, kinds: type[NoScoresError] | tuple[type[NoScoresError], ...], cancelled: threading.Event
    ) -> Retrying:
        """Retrying for as long as the endpoint answers anybody, and for `endpoint_patience` seconds after that."""

        def in_vain(state: RetryCallState) -> bool:
            waited = time.monotonic() - max(state.start_time, self._client.answered)
            return cancelled.is_set() or waited + state.upcoming_sleep > self.specification.settings.endpoint_patience

        return Retrying(
            retry=retry_if_exception_type(kinds),
            stop=in_vain,
            wait=_pause,
            sleep=sleep_using_event(cancelled),
            before_sleep=self._say_long_waits,
            retry_error_callback=self._give_up,
        )

    def _say_long_waits(self, state: RetryCallState) -> None:
        """Say that a pause is waited for, which from outside looks like a job that hangs."""
        if state.upcoming_sleep >= LONG_WAIT:
            message = "endpoint %s is busy (%s): waiting %.0f s"
            logging.getLogger(__name__).warning(message, self.specification.url, _error_of(state), state.upcoming_sleep)

    def _give_up(self, state: RetryCallState) -> NoReturn:
        error, waited = _error_of(state), time.monotonic() - state.start_time
        pause = f" and asks to wait {error.pause:.0f} s" if isinstance(error, BusyError) and error.pause else ""
        raise UnavailableError(
            f"endpoint {self.specification.url} gave no scores for {waited:.0f} s{pause} ({error}); "
            "the same command continues when it is back"
        )

    def _ask(self, query: Query, documents: Sequence[str], cancelled: threading.Event) -> Reply:
        if cancelled.is_set():
            raise CancelledError
        answer = self._client.ask(query, documents)
        return Reply([*answer.scores], Counter(endpoint_requests=1, endpoint_tokens=answer.tokens))


def _enter(scores: Scores, request: EndpointRequest, reply: Reply) -> None:
    """Put what became of a request's documents in the places of their pairs."""
    for pairs, outcome in zip(request.pairs, reply.outcomes, strict=True):
        for pair in pairs:
            if isinstance(outcome, Failure):
                scores.failures[pair] = outcome
            else:
                scores.score[pair] = outcome
    scores.counts += reply.counts


def _error_of(state: RetryCallState) -> BaseException:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert error is not None
    return error


def _pause(state: RetryCallState) -> float:
    """Seconds until the next try: as the endpoint asks, else growing; and up to a second more, so that requests which
    failed together do not come back together."""
    error = _error_of(state)
    retry_after = error.pause if isinstance(error, BusyError) else None
    growing = min(FIRST_PAUSE * 2 ** (state.attempt_number - 1), LONGEST_PAUSE)
    return (growing if retry_after is None else retry_after) + random.uniform(0, FIRST_PAUSE)
