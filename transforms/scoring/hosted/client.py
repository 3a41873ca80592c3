"""One request to a hosted rerank API, sent once: where to, with which key, and what came of it.

The key comes from the environment of each worker process. It goes into the Authorization header and nowhere else: what
the server says is cleared of it, and redirects, which could carry it elsewhere, are not followed.
"""

from __future__ import annotations

import ipaddress
import os
import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx

from transforms.base.errors import UserError, one_line
from transforms.base.json_text import parse
from transforms.scoring.hosted.dialects import Api, read_scores, read_tokens, request_body

KEY_VARIABLE = "RERANK_API_KEY"
MESSAGE_LENGTH = 200  # characters kept of what the server says
NEVER = -float("inf")

_BUSY = {429, 503}
_FAULTS = {408, 425}  # besides all from 500 up
# What no waiting mends, and what does.
_MENDING = {
    401: f"set {KEY_VARIABLE} to a key that it accepts",
    402: "the account lacks credit; when it has some, the same command continues",
    404: "check the address in --model and the name in --endpoint_model",
    405: "check the path in --model; it is no rerank API",
}
_SECRET_PARAMETER = re.compile("key|token|secret|passw|auth|sig|cred|code", re.IGNORECASE)


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
        self._key = _key()
        self._http = httpx.Client(
            headers=authorization(url),
            timeout=httpx.Timeout(timeout, connect=connect_timeout, pool=None),
            limits=httpx.Limits(max_connections=connections),
        )

    def ask(self, query: str, documents: Sequence[str]) -> Answer:
        """The endpoint's scores of the documents.

        Raises:
            NoScoresError: there are none this time; its kinds say what can be done.
            UserError: the key, the account or the address does not do.
        """
        try:
            response = self._http.post(self._url, json=request_body(self._api, self._model, query, documents))
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if self.answered == NEVER:  # more likely a wrong address than an outage, and nothing is lost by stopping
                reason = one_line(error)
                raise UserError(
                    f"endpoint {self._url} cannot be reached ({reason}); check the address and that it is running"
                ) from None
            raise FaultError(f"no connection: {one_line(error)}") from None
        except httpx.ReadTimeout:
            raise FaultError(f"no answer in {self._timeout:g} s") from None
        except httpx.RequestError as error:
            raise FaultError(f"connection lost: {one_line(error)}") from None
        self._check_status(response)
        try:
            content = parse(response.content)
            scores = read_scores(self._api, content, len(documents))
        except ValueError as error:
            raise FaultError(self._clear(f"wrong answer: {error}")) from None
        self.answered = time.monotonic()
        return Answer(scores, read_tokens(content))

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if response.is_success:
            return
        if response.is_redirect:
            target = self._clear(response.headers.get("Location", "nowhere"))
            raise UserError(f"endpoint {self._url} redirects to {target}; give the final address as --model")
        message = self._clear(f"HTTP {status}: {response.text}")
        if status in _MENDING:
            raise UserError(f"endpoint {self._url}: {_MENDING[status]} ({message})")
        if status in _BUSY:
            raise BusyError(message, seconds_of(response.headers.get("Retry-After")))
        raise FaultError(message) if status >= 500 or status in _FAULTS else RefusalError(message)

    def _clear(self, message: str) -> str:
        """One line of at most MESSAGE_LENGTH characters, without the key, which a server may repeat."""
        without_key = message.replace(self._key, "[key]") if self._key else message
        return " ".join(without_key.split())[:MESSAGE_LENGTH]


def check_address(url: str) -> None:
    """Check that an address is one, and that it can be shown and written down.

    Raises:
        UserError: it is not; the message repeats nothing that may be a secret.
    """
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise UserError("--model: this address is not valid; give one like https://HOST/v1/rerank") from None
    if not parts.host:
        raise UserError("--model: this address has no host; give one like https://HOST/v1/rerank")
    if parts.userinfo:
        raise UserError(f"--model: a user or password in the address of {parts.host}; give the key in {KEY_VARIABLE}")
    for name in parts.params:
        if _SECRET_PARAMETER.search(name):
            raise UserError(
                f"--model: {name}= in the address of {parts.host} looks like a secret, and addresses are written to "
                f"job.json; give the key in {KEY_VARIABLE}"
            )


def authorization(url: str) -> dict[str, str]:
    """The header with the key from the environment; none where there is no key.

    Raises:
        UserError: the key cannot stand in a header, or would travel in clear text.
    """
    key = _key()
    if not key:
        return {}
    if not re.fullmatch("[!-~]+", key):  # the HTTP library would tell of it by showing it
        raise UserError(f"{KEY_VARIABLE}: holds a blank, a line break or a character beyond ASCII; set it again")
    if not url.startswith("https://") and not _is_loopback(httpx.URL(url).host):
        raise UserError(
            f"--model {url}: {KEY_VARIABLE} would travel unencrypted; use https://, or unset {KEY_VARIABLE}"
        )
    return {"Authorization": f"Bearer {key}"}


def _key() -> str:
    return os.environ.get(KEY_VARIABLE, "").strip()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def seconds_of(retry_after: str | None) -> float | None:
    """The pause that a Retry-After header asks for, in seconds or by a date (RFC 9110, 10.2.3); None if none."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a time zone
        return None
