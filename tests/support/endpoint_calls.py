"""Scores by a server of the tests, as an endpoint gives them."""

from __future__ import annotations

from typing import Any

from tests.support.stub_endpoint import (
    RerankServer,
)
from transforms.scoring.hosted.endpoint import Endpoint, Settings, specify
from transforms.scoring.results import RankingTask, Scores


def load(server: RerankServer, **settings: Any) -> Endpoint:
    """The endpoint of a server, one request at a time by default."""
    return specify(server.address, Settings(**{"endpoint_concurrency": 1, **settings})).load()


def score(server: RerankServer, *documents: str, **settings: Any) -> Scores:
    return load(server, **settings).score_tasks([RankingTask("q", documents)])


def bad_in(documents: list[str]) -> bool:
    return "7" in documents
