"""An endpoint's address, key and settings."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.endpoint_calls import bad_in, score
from tests.support.stub_endpoint import (
    RerankServer,
    Step,
    cut,
    say,
    status,
    unless,
)
from transforms.base.errors import UserError
from transforms.scoring.hosted.endpoint import Settings, specify
from transforms.scoring.reranker import Reranker
from transforms.scoring.reranker import specify as specify_any
from transforms.scoring.results import Failure, RankingTask

pytestmark = pytest.mark.usefixtures("quick_and_unkeyed")


KEY = "sk-very-secret-0123456789"


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
        *[
            (address, "--model: this address is not valid; give one like https://HOST/v1/rerank")
            for address in ("https://[::1/v1", "https://host.example:65536/", f"https://{64 * 'a'}.example/")
        ],
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
        ({"endpoint_timeout": math.nan}, "--endpoint_timeout nan: give a finite number"),
        ({"endpoint_patience": math.inf}, "--endpoint_patience inf: give a finite number"),
        ({"endpoint_connect_timeout": "3"}, "--endpoint_connect_timeout 3: give a finite number"),
        ({"endpoint_batch": 2.5}, "--endpoint_batch 2.5: give a whole number"),
        ({"endpoint_concurrency": True}, "--endpoint_concurrency True: give a whole number"),
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


@pytest.mark.parametrize("name", ["endpoint_timeout", "endpoint_connect_timeout", "endpoint_patience"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_settings_that_are_no_time_are_refused_without_options_too(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"^--{name} {value}: give a positive number$"):
        specify("https://host.example/v1/rerank", Settings(**{name: value}))  # type: ignore[arg-type]


def test_an_address_is_not_loaded_as_a_model() -> None:
    with pytest.raises(UserError) as caught:
        Reranker.load("https://host.example/v1/rerank")
    assert str(caught.value) == (
        "https://host.example/v1/rerank: an endpoint is not loaded; use specify(ADDRESS, options={...}).load()"
    )
