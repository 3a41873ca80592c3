"""Each API's requests and answers as its documentation shows them, over a socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from pipelines.rerank.__main__ import main
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import rows
from tests.support.stub_endpoint import RerankServer, say
from transforms.base.errors import UserError
from transforms.scoring import RankingTask
from transforms.scoring.hosted.dialects import APIS, WrongAnswerError, read_scores
from transforms.scoring.hosted.endpoint import Settings, specify

ROAD, TREE = "two roads diverged in a yellow wood", "then took the other, as just as fair"


class Documented(NamedTuple):
    """One exchange: the request that is to be sent, the answer, and what it says."""

    body: dict[str, Any]
    answer: Any
    scores: list[float]
    tokens: int
    instructed: dict[str, Any] | None  # what the request has beside that where the query has an instruction


EXCHANGES = {
    "common": Documented(
        {"model": "m", "query": "which way?", "documents": [ROAD, TREE], "top_n": 2},
        {
            "model": "m",
            "usage": {"total_tokens": 815},
            "results": [{"index": 1, "relevance_score": 0.75}, {"index": 0, "relevance_score": 0.25}],
        },
        [0.25, 0.75],
        815,
        None,
    ),
    "tei": Documented(
        {"query": "which way?", "texts": [ROAD, TREE]},
        [{"index": 1, "score": 0.75}, {"index": 0, "score": 0.25}],
        [0.25, 0.75],
        0,
        None,
    ),
    "nim": Documented(
        {"model": "m", "query": {"text": "which way?"}, "passages": [{"text": ROAD}, {"text": TREE}]},
        {
            "rankings": [{"index": 1, "logit": -1.25}, {"index": 0, "logit": -5.5}],
            "usage": {"prompt_tokens": 123, "total_tokens": 123},
        },
        [-5.5, -1.25],
        123,
        None,
    ),
    "voyage": Documented(
        {"model": "m", "query": "which way?", "documents": [ROAD, TREE], "top_k": 2},
        {
            "object": "list",
            "data": [{"relevance_score": 0.4375, "index": 0}, {"relevance_score": 0.421875, "index": 1}],
            "model": "m",
            "usage": {"total_tokens": 26},
        },
        [0.4375, 0.421875],
        26,
        None,
    ),
    "deepinfra": Documented(
        {"queries": ["which way?", "which way?"], "documents": [ROAD, TREE]},
        {
            "scores": [0.125, 0.25],
            "input_tokens": 42,
            "request_id": None,
            "inference_status": {"status": "unknown", "runtime_ms": 0, "cost": 0.0, "tokens_input": 0},
        },
        [0.125, 0.25],
        42,
        {"instruction": "Prefer poems."},
    ),
    "sglang": Documented(
        {"model": "m", "query": "which way?", "documents": [ROAD, TREE]},
        [
            {"score": 5.265625, "document": TREE, "index": 1, "meta_info": {"prompt_tokens": 7}},
            {"score": -8.1875, "document": ROAD, "index": 0, "meta_info": {"prompt_tokens": 9}},
        ],
        [-8.1875, 5.265625],
        0,
        {"instruct": "Prefer poems."},
    ),
}


@pytest.fixture(autouse=True)
def _unkeyed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))  # to read all certificates takes longer than a test


def settings_of(name: str) -> Settings:
    return Settings(endpoint_api=name, endpoint_model="m" if APIS[name].takes_model else None)


def test_every_api_is_documented_here() -> None:
    assert list(EXCHANGES) == list(APIS)


@pytest.mark.parametrize("name", EXCHANGES)
def test_requests_and_answers(name: str) -> None:
    exchange = EXCHANGES[name]
    with RerankServer(habit=say(json.dumps(exchange.answer))) as server:
        scorer = specify(server.address, settings_of(name)).load()
        scores = scorer.score_tasks([RankingTask("which way?", [ROAD, TREE])])
        assert server.received[0].body == exchange.body
        assert scores.score.tolist() == exchange.scores
        assert (scores.counts["endpoint_requests"], scores.counts["endpoint_tokens"]) == (1, exchange.tokens)
        instructed = RankingTask("which way?", [ROAD, TREE], "Prefer poems.")
        if exchange.instructed is None:
            with pytest.raises(UserError, match=r"^instruction: this model takes none; leave it out, or write it into"):
                scorer.score_tasks([instructed])
            assert len(server.received) == 1
        else:
            assert scorer.score_tasks([instructed]).score.tolist() == exchange.scores
            assert server.received[1].body == exchange.body | exchange.instructed


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([0.5], "results for 1 of 2 documents"),
        ([0.5, 0.5, 1], "a result has the index 2, of 2 documents"),
        ([0.5, None], "the result of index 1 has the score None"),
        ("0.5", "not of the API's form"),
    ],
)
def test_scores_without_places_that_are_not_one_for_each_document(answer: Any, reason: str) -> None:
    with pytest.raises(WrongAnswerError, match=reason):
        read_scores(APIS["deepinfra"], {"scores": answer}, 2)


# Half of float32's unit there, 2^104, below 2^128 the nearest float32 is its largest, from there on it is infinity.
@pytest.mark.parametrize("text", ["3.4028235e38", "-3.4028235e38", "3.4028235677973362e38", str(2**128 - 2**104)])
def test_scores_up_to_the_largest_of_float32_are_taken_as_printed(text: str) -> None:
    (score,) = np.array(read_scores(APIS["deepinfra"], json.loads(f'{{"scores": [{text}]}}'), 1), np.float32)
    assert abs(score) == np.float32(2**128 - 2**104)


@pytest.mark.parametrize("text", ["3.4028235677973366e38", str(2**128 - 2**103 - 1), "1e400", "9" * 400])
def test_scores_that_float32_cannot_hold_are_refused(text: str) -> None:
    with pytest.raises(WrongAnswerError, match=r"^the result of index 0 has the score "):
        read_scores(APIS["deepinfra"], json.loads(f'{{"scores": [{text}]}}'), 1)


@pytest.mark.parametrize(("api", "code"), [("common", 2), ("sglang", 0)])
def test_instructions_in_a_job(tmp_path: Path, api: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    lists = [query("q", [candidate("a", ROAD), candidate("b", TREE)], "which way?", instruction="Prefer poems.")]
    source = Path(write(tmp_path / "in.parquet", nested_table(lists)))
    with RerankServer(habit=say(json.dumps(EXCHANGES["sglang"].answer))) as server:
        assert rerank_there(source, tmp_path / "out", server, api) == code
        assert [received.body.get("instruct") for received in server.received] == ["Prefer poems."] * (code == 0)
    if code:
        assert capsys.readouterr().err.endswith(
            "error: instruction: this model takes none; leave it out, or write it into the query\n"
        )
    else:
        assert [row["score"] for row in rows(tmp_path / "out")] == [5.265625, -8.1875]


def rerank_there(source: Path, output: Path, server: RerankServer, api: str) -> int:
    return main(
        [
            *("--input", str(source), "--output", str(output), "--model", server.address),
            *("--endpoint_api", api, "--runner=FnApiRunner"),
        ]
    )
