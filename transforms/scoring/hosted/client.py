"""One request to a hosted rerank API, sent once: where to, with which key, and what came of it.

What the server says is shown without the key and without control characters, and redirects, which could carry the key
and the texts elsewhere, are not followed.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx

from transforms.base.errors import UserError, one_line
from transforms.base.json_text import parse
from transforms.scoring.choices import KEY_VARIABLE
from transforms.scoring.hosted.bounded import BoundError, Response, Sender
from transforms.scoring.hosted.dialects import Api, OtherFormError, Query, read_scores, read_tokens, request_body
from transforms.scoring.hosted.key import Cleaner, authorization

NEVER = -float("inf")
# Of a pause that a server asks for, seconds: beyond it a figure says nothing more, and waiting overflows in the end.
LONGEST_ASKED = 86_400.0

_BUSY = {429, 503}
_FAULTS = {408, 425}  # besides all from 500 up
# What no waiting fixes, and what does.
_MENDING = {
    401: f"set {KEY_VARIABLE} to a key that it accepts",
    402: "the account lacks credit; when it has some, the same command continues",
    404: "check the address in --model and the name in --endpoint_model",
    405: "check the path in --model; it is not a rerank API",
}


class NoScoresError(Exception):
    """A request brought no scores; the message says why, in one line and without the key."""


class RefusalError(NoScoresError):
    """The same request will be refused again."""


class FaultError(NoScoresError):
    """The same request may do when it is sent again."""


class BusyError(NoScoresError):
    """The same request will do later."""

    def __init__(self, message: str, pause: float | None) -> None:
        super().__init__(message)
        self.pause = pause  # seconds that the endpoint asks to wait; None where it does not say


class Answer(NamedTuple):
    """A score for each document of a request, and the tokens that the endpoint counted (0 where it does not say)."""

    scores: list[float]
    tokens: int


class Client:
    """Sends requests to one address; safe to share between threads.

    Attributes:
        answered: when the last answer with scores came, on the monotonic clock; NEVER before the first.
    """

    def __init__(
        self, url: str, api: Api, model: str | None, *, timeout: float, connect_timeout: float, connections: int
    ) -> None:
        """Read the key from the environment; nothing is sent.

        Args:
            url: that `check_address` accepts.
            api: which the endpoint speaks.
            model: the name to ask for; None for the server's own.
            timeout: seconds without a byte of the answer after which a request has failed.
            connect_timeout: seconds until a connection must stand.
            connections: at once, at most.

        Raises:
            UserError: see `authorization`.
        """
        self.answered = NEVER
        self._url, self._api, self._model, self._timeout = url, api, model, timeout
        self._clear = Cleaner()
        self._sender = Sender(
            url, authorization(url), timeout=timeout, connect_timeout=connect_timeout, connections=connections
        )

    def ask(self, query: Query, documents: Sequence[str]) -> Answer:
        """The endpoint's scores of the documents.

        Raises:
            NoScoresError: there are none this time; its kinds say what can be done.
            UserError: the key, the account or the address does not do.
        """
        try:
            received = self._sender.post(request_body(self._api, self._model, query, documents))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            reason = self._clear(_cause(error))
            if self.answered == NEVER:  # more likely a wrong address than an outage, and nothing is lost by stopping
                raise UserError(
                    f"endpoint {self._url} cannot be reached ({reason}); check the address and that it is running"
                ) from None
            raise FaultError(f"no connection: {reason}") from None
        except UnicodeEncodeError:
            raise RefusalError("not sent: half a character in the text, which JSON in UTF-8 cannot hold") from None
        except httpx.ReadTimeout:
            raise FaultError(f"no answer in {self._timeout:g} s") from None
        except httpx.RequestError as error:
            raise FaultError(f"connection lost: {self._clear(one_line(error))}") from None
        except BoundError as error:
            raise FaultError(self._clear(str(error))) from None
        self._check_status(received)
        try:
            content = _json(received)
            scores = read_scores(self._api, content, len(documents))
        except ValueError as error:
            problem = error
        else:
            self.answered = time.monotonic()
            return Answer(scores, read_tokens(self._api, content))
        raise self._wrong_answer(problem, received)  # out of reach of the problem, which may hold the key

    def _wrong_answer(self, problem: ValueError, received: Response) -> FaultError | UserError:
        """The error to raise: an endpoint whose first answer is none of the API is another thing than that API."""
        if isinstance(problem, OtherFormError) and self.answered == NEVER:
            return UserError(
                f"endpoint {self._url} does not answer as --endpoint_api says; check --model and --endpoint_api "
                f"(it answered: {self._clear(_text(received))})"
            )
        return FaultError(self._clear(f"wrong answer: {problem}"))

    def _check_status(self, received: Response) -> None:
        status = received.status
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            target = self._clear(received.headers.get("Location", "nowhere"))
            raise UserError(
                f"endpoint {self._url} redirects to {target}, which is not followed; give the final address as --model"
            )
        message = self._clear(f"HTTP {status}: {_text(received)}")
        if status in _MENDING:
            raise UserError(f"endpoint {self._url}: {_MENDING[status]} ({message})")
        if status in _BUSY:
            raise BusyError(message, seconds_of(received.headers.get("Retry-After")))
        raise FaultError(message) if status >= 500 or status in _FAULTS else RefusalError(message)


def _cause(error: BaseException) -> str:
    """What lies under an error of a connection, which says no more than that there is none."""
    while (
        cause := error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__
    ):
        error = cause
    if isinstance(error, ConnectionError) and error.errno:
        return f"[Errno {error.errno}] {os.strerror(error.errno)}"
    return one_line(error)


def _json(received: Response) -> Any:
    try:
        return parse(received.content)
    except ValueError as error:
        raise OtherFormError(str(error)) from None


def _text(received: Response) -> str:
    return received.content.decode(errors="replace")


def seconds_of(retry_after: str | None) -> float | None:
    """The pause that a Retry-After header asks for, in seconds or by a date in any of HTTP's three forms (RFC 9110,
    10.2.3), LONGEST_ASKED at most; None if none."""
    if retry_after is None:
        return None
    if re.fullmatch("[0-9]+", retry_after.strip()):
        return min(float(retry_after), LONGEST_ASKED)
    try:
        date = parsedate_to_datetime(retry_after)
        utc = date if date.tzinfo else date.replace(tzinfo=UTC)  # C's form names no zone; HTTP's dates are in UTC
        return min(max(0.0, (utc - datetime.now(UTC)).total_seconds()), LONGEST_ASKED)
    except (ValueError, TypeError, OverflowError, IndexError):  # no date, or one out of the calendar
        return None
