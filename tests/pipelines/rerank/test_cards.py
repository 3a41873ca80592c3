"""Plans by what was measured on a GPU: `--dry_run --gpu`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipelines.rerank import Finished, RerankRequest, rerank
from pipelines.rerank.__main__ import main
from pipelines.rerank.cards import Measurement, measured, speed_of
from transforms.base.cost import three_digits
from transforms.scoring import catalogue

V2 = "jinaai/jina-reranker-v2-base-multilingual"
PLAN = ["--dry_run", "--gpu=h200", "--pairs=1e8", "--tokens_per_pair=155", f"--model={V2}"]


def row(model: str, tokens: int, core: float, job: float | None = None, card: str = "c1") -> Measurement:
    return Measurement("2026-01-02", card, "abc", "bfloat16", model, "pairs", tokens, core, job, None, None)


TABLE = [
    row("m", 100, 1000.0, 500.0),
    row("m", 200, 400.0),
    row("m", 400, 100.0),
    row("n", 100, 10.0),
    row("n", 100, 30.0),
    row("o", 100, 10.0, 8.0, card="c2"),
]


@pytest.mark.parametrize(
    ("model", "tokens", "low", "high"),
    [
        ("m", 100, 50_000, 100_000),
        ("m", 80, 50_000, 100_000),  # shorter than all: as the shortest
        ("m", 150, 40_000, 100_000),  # between two: 80,000 tokens/s at 200, half of it in a job
        ("m", 300, 20_000, 80_000),  # no job of this length: the share of another
        ("m", 900, 20_000, 40_000),
        ("n", 100, 500, 3_000),  # its job was not measured
    ],
)
def test_speed_is_that_of_the_measurements_next_in_length(model: str, tokens: float, low: float, high: float) -> None:
    assert speed_of("c1", model, tokens, TABLE)[:2] == (low, high)


def test_a_plan_needs_neither_input_nor_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PLAN, "--price_per_hour=3.5", "--workers=8"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"plan      100,000,000 pairs of 155 tokens with {V2} on h200",
        "speed     5,470 to 9,870 pairs/s, 848,000 to 1,530,000 tokens/s",
        "time      2 h 48 min to 5 h 04 min on one",
        "workers   8: 21 min 06 s to 38 min 05 s",
        "cost      9.85 to 17.8 in the currency of --price_per_hour 3.5; a hosted API at $0.008 for 1,000 documents: "
        "$800",
        "measured  2026-11-27 at commit 23ac8b8, bfloat16, 155 tokens a pair; from the whole job to scoring alone",
    ]


def test_without_a_price_there_is_no_cost(capsys: pytest.CaptureFixture[str]) -> None:
    request = RerankRequest(model="own", model_like=V2, dry_run=True, gpu="H200", pairs=1e6, tokens_per_pair=512)
    assert rerank(request) == Finished("", {}, True)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["plan", "speed", "time", "measured"]


def test_a_plan_for_a_card_in_place_of_an_api_asks_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PLAN, "--model=https://api.example/rerank", f"--model_like={V2}"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"plan      100,000,000 pairs of 155 tokens with {V2} on h200"


def test_a_plan_takes_no_time_to_import() -> None:
    code = (
        f"import sys; from pipelines.rerank.__main__ import main; main({PLAN}); "
        "print({'torch', 'apache_beam', 'transformers'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpu=a100"], "--gpu a100: nothing was measured on it; known: h200"),
        (
            ["--model=x/y"],
            "--model x/y: not measured on h200; known there: small-cross-encoder, "
            f"{V2}, BAAI/bge-reranker-v2-m3, jinaai/jina-reranker-v3, Qwen/Qwen3-Reranker-0.6B; --model_like takes "
            "one's size",
        ),
        (["--pairs=0"], "argument --pairs: '0' is not a positive number; see --help"),
        (["--input=a", "--throughput=3"], "--gpu plans without --input, --throughput; leave them out"),
        (["--runner=DirectRunner"], "--runner=DirectRunner: --gpu plans without a runner; leave it out"),
    ],
)
def test_what_cannot_be_planned_is_said_in_a_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*PLAN, *words]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--gpu=h200", "--dry_run"], "--gpu: give --pairs too; --gpu: give --tokens_per_pair too"),
        (["--output=o", "--input=a", "--dry_run", "--pairs=3"], "--pairs: it is for --gpu alone; leave it out"),
        (["--input=a"], "--output: it is empty or not given; give the job's own directory"),
    ],
)
def test_what_does_not_go_together(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model=o/m", *words]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.001234, "0.00123"), (0.0999999, "0.100"), (9.999, "10.0"), (28.8, "28.8"), (1234.5, "1,230"), (0, "0.00")],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert three_digits(value) == text


def test_each_card_has_a_job_to_plan_by() -> None:
    table = measured()
    assert {one.card for one in table if one.job} == {one.card for one in table}


def test_models_of_the_table_are_those_of_the_catalogue() -> None:
    assert [one.model for one in measured() if catalogue.named(one.model) is None] == []
