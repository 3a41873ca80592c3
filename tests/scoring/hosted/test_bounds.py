"""What a server can do to a job: no more than its texts need, however large, slow or talkative its answers are."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.stub_endpoint import Exchange, RerankServer, answer, say, status
from transforms.base.errors import UnavailableError, UserError
from transforms.scoring.hosted import bounded, endpoint
from transforms.scoring.hosted.endpoint import Endpoint, Settings, specify

KEY = 'sk-"very/secret+0123456789?&='
GOOD = b'{"results": [{"index": 0, "relevance_score": 0.5}]}'


@pytest.fixture(autouse=True)
def _quick_and_keyed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RERANK_API_KEY", KEY)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # to read all certificates takes longer than a test
    monkeypatch.setattr(endpoint, "FIRST_PAUSE", 0.01)


def load(address: str) -> Endpoint:
    return specify(address, Settings(endpoint_timeout=0.2, endpoint_patience=0.1)).load()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_what_is_sent_to_this_machine_goes_through_no_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with RerankServer() as server, RerankServer() as proxy:
        set_proxies(monkeypatch, proxy)
        assert load(server.address.replace("127.0.0.1", host)).score("q", ["0.5"]) == [0.5]
    assert server.documents == ["0.5"]
    assert proxy.received == []


def test_nor_does_what_is_sent_to_this_machine_by_its_address_of_version_6(monkeypatch: pytest.MonkeyPatch) -> None:
    with RerankServer() as proxy:
        set_proxies(monkeypatch, proxy)
        with pytest.raises(UserError, match="cannot be reached"):
            load("http://[::1]:1/v1/rerank").score("q", ["0.5"])
    assert proxy.received == []


def test_what_is_sent_elsewhere_goes_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RERANK_API_KEY")
    with RerankServer() as proxy:
        set_proxies(monkeypatch, proxy)
        assert load("http://host.example/v1/rerank").score("q", ["0.5"]) == [0.5]
    assert [received.path for received in proxy.received] == ["http://host.example/v1/rerank"]


def set_proxies(monkeypatch: pytest.MonkeyPatch, proxy: RerankServer) -> None:
    for name in ("http_proxy", "ALL_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy.address.removesuffix("/v1/rerank"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("members", [(GOOD,), (GOOD[:20], b"", GOOD[20:])], ids=["one member", "three members"])
def test_an_answer_in_gzip_is_read(members: tuple[bytes, ...]) -> None:
    content = b"".join(map(gzip.compress, members))
    with RerankServer([status(200, content, Content_Encoding="gzip")]) as server:
        assert load(server.address).score("q", ["0.5"]) == [0.5]


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (gzip.compress(b" " * (64 * 1024 * 1024) + b"1", 9, mtime=0), "gzip", "the answer is larger than 64 MiB"),
        (
            gzip.compress(gzip.compress(GOOD, mtime=0), mtime=0),
            "gzip, gzip",
            "the answer is compressed as gzip, gzip; only gzip was",
        ),
        (gzip.compress(b" " * (32 << 20), 9, mtime=0) * 3, "gzip", "the answer is larger than 64 MiB"),
        (GOOD, "gzip", "the answer is said to be gzip and is not"),
        (gzip.compress(GOOD)[:-4], "gzip", "the answer is said to be gzip and is not"),
    ],
    ids=["large when expanded", "compressed twice", "large in three members", "not compressed", "cut short"],
)
def test_an_answer_that_expands_beyond_bounds_is_none(content: bytes, encoding: str, message: str) -> None:
    with (
        RerankServer(habit=status(200, content, Content_Encoding=encoding)) as server,
        pytest.raises(UnavailableError) as caught,
    ):
        load(server.address).score("q", ["0.5"])
    assert message in str(caught.value)


def test_a_body_without_end_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MOST_BYTES", 2 << 20)

    def endless(exchange: Exchange) -> None:
        exchange.send(200, "[", length=1 << 40)
        exchange.drip(b" " * (1 << 20), 0)

    with RerankServer(habit=endless) as server, pytest.raises(UnavailableError, match=r"larger than 2 MiB\)"):
        load(server.address).score("q", ["0.5"])


def slow_body(exchange: Exchange) -> None:
    exchange.send(200, "[", length=1 << 20)
    exchange.drip(b" ", 0.02)


def slow_headers(exchange: Exchange) -> None:
    exchange.drip(b"HTTP/1.1 200 OK\r\nX-Slow: 1\r\n" + b"X-Slow: 1\r\n" * 10, 0.02)


@pytest.mark.parametrize("slow", [slow_body, slow_headers])
def test_an_answer_that_comes_a_byte_at_a_time_ends(slow: Callable[[Exchange], None]) -> None:
    with RerankServer(habit=slow) as server, pytest.raises(UnavailableError, match=r"\(no whole answer in 0.6 s\)"):
        load(server.address).score("q", ["0.5"])


KEY_IN_OTHER_WORDS = [
    KEY,
    quote(KEY),
    quote(KEY, safe="").lower(),
    json.dumps(KEY),
    json.dumps(KEY).replace("/", "\\/").replace("&", "\\u0026"),
    "".join(f"\\u{ord(character):04X}" for character in KEY),
    KEY.replace("&", "&amp;").replace('"', "&#34;"),
    *[base64.b64encode(b"user:"[:length] + KEY.encode()).decode() for length in range(4)],
    base64.urlsafe_b64encode(b"ab" + KEY.encode()).decode(),
]


@pytest.mark.parametrize("form", KEY_IN_OTHER_WORDS, ids=range(len(KEY_IN_OTHER_WORDS)))
@pytest.mark.parametrize("kind", ["another form", "refused", "redirect", "header"])
def test_the_key_is_shown_in_no_form(kind: str, form: str) -> None:
    step = {
        "another form": say(f"key {form}"),
        "refused": status(401, f"key {form}"),
        "redirect": status(307, Location=f"https://other.example/{form}"),
        "header": say(json.dumps({"results": [{"index": "x" * 40 + form, "relevance_score": 1}]})),
    }[kind]
    with RerankServer(habit=step) as server, pytest.raises(UserError) as caught:
        load(server.address).score("q", ["0.5"])
    message = str(caught.value)
    assert "[key]" in message
    assert form not in message
    assert all(form[start : start + 8] not in message for start in range(len(form) - 8)), message


def test_control_characters_of_a_server_are_escaped() -> None:
    with RerankServer(habit=status(401, "a\x1b[2Jb\x07\u2028c\r\nd\x9b")) as server, pytest.raises(UserError) as caught:
        load(server.address).score("q", ["0.5"])
    assert str(caught.value).endswith(r"(HTTP 401: a\x1b[2Jb\x07 c d\x9b)")


def test_a_broken_answer_of_a_working_server_is_asked_for_again() -> None:
    with RerankServer([answer, say("<html>")]) as server:
        scorer = load(server.address)
        assert scorer.score("q", ["0.5"]) == [0.5]
        assert scorer.score("q", ["0.25"]) == [0.25]
    assert server.documents == ["0.5", "0.25", "0.25"]


def test_a_long_wait_is_reported(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """From outside it looks like a job that hangs."""
    monkeypatch.setattr(endpoint, "LONG_WAIT", 0.5)
    busy = lambda exchange: exchange.send(429, "slow down", [("Retry-After", "1")])  # noqa: E731
    with RerankServer(script=[busy]) as server:
        scores = endpoint.specify(server.address, endpoint.Settings()).load().score("q", ["0.5"])
    assert scores == [0.5]
    assert f"endpoint {server.address} is busy (" in caplog.text
    assert "): waiting 1 s" in caplog.text
