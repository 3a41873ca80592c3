"""scripts/measure/gpu.py: what it runs, and what becomes of its figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval.__main__ import parser_of
from eval.throughput import sizes
from pipelines.rerank.cards import Measurement
from scripts.measure.gpu import REPOSITORY, SPEEDS, TESTS, card_rows, steps
from transforms.base.errors import UserError


def arm(speed: float, pairs: int) -> dict[str, Any]:
    return {"pairs": pairs, "tokens": 155 * pairs, "pairs_per_second": speed}


def test_its_figures_become_rows_of_the_table_of_cards() -> None:
    figures = {
        "model": "m",
        "machine": {"device": "NVIDIA H100 80GB HBM3"},
        "execution": {"dtype": "bfloat16"},
        "arms": {
            "core": arm(100.4, 8),
            "core, plain layers": arm(80, 8),
            "ceiling": arm(200, 8),
            "sentence-transformers": arm(10, 8),
            "sentence-transformers, same dtype, batch 128": arm(30, 8),
            "core, 40,960 pairs": arm(120, 40_960),
            "whole job, 40,960 pairs": arm(90, 40_960),
        },
    }
    common = ("2026-01-02", "h100", "abc", "bfloat16", "m")
    assert [Measurement(**row) for row in card_rows(figures, "pairs", "2026-01-02", "abc")] == [
        Measurement(*common, "pairs", 155, 100, None, 200, 30),
        Measurement(*common, "pairs, 40,960 of them", 155, 120, 90, None, None),
    ]


def test_it_runs_commands_that_exist_and_tests_that_are_there(tmp_path: Path) -> None:
    for name, (_, *words) in steps(tmp_path, tmp_path):
        if words[:2] == ["-m", "eval"]:
            try:
                parser_of(words[2]).parse_args(words[3:])
            except (SystemExit, UserError) as error:
                pytest.fail(f"{name}: {error}")
    assert {one.model for one in SPEEDS} <= {*sizes.SIZES, "small-cross-encoder"}
    assert [file for files in TESTS.values() for file in files if not (REPOSITORY / file).is_file()] == []


def test_the_whole_job_is_compared_with_the_core_on_200_000_pairs() -> None:
    [one] = [speed for speed in SPEEDS if speed.name == "v2-155"]
    read = parser_of("throughput").parse_args([f"--model={one.model}", *one.options])
    assert (read.pairs, read.tokens_per_pair) == ([20_480, 200_000], 155)


def test_packed_modernbert_is_measured_beside_sentence_transformers() -> None:
    [one] = [speed for speed in SPEEDS if "modernbert" in speed.model]
    assert parser_of("throughput").parse_args([f"--model={one.model}", *one.options]).without == []
