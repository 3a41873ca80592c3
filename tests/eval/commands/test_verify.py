"""`python -m eval verify`, on the embedded model and on checkpoints whose weights are random."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.commands import verify
from eval.published.verification import PUBLISHED, Published
from tests.support import tiny
from transforms.scoring import catalogue


def test_embedded_model_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--model", "small-cross-encoder", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in (lines[0], lines[1])] == [
        ["document", "published", "here"],
        ["Paris", "is", "the"],
    ]
    assert lines[-2:] == [
        "A difference of 0.0001 is tolerated.",
        "pass: small-cross-encoder against its README, in float32",
    ]


def test_other_weights_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny.xlm_roberta(tmp_path)
    tiny.change(tmp_path / "config.json", max_position_embeddings=34)
    assert main(["verify", "--model", str(tmp_path), "--model_like", "small-cross-encoder", "--device", "cpu"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"FAIL: {tmp_path} against its README, in float32"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("jina-reranker-m0", []), ("bge-reranker-v2-m3", ["--model_like", "BAAI/bge-reranker-v2-m3"])],
)
def test_random_weights_in_a_vendors_layout_fail(
    name: str, arguments: list[str], golden: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--model", str(golden(name)), "--device", "cpu", *arguments]) == 1
    assert "FAIL: " in capsys.readouterr().out


def test_weights_that_are_not_available(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--model", "jinaai/jina-reranker-m0"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "error: weights not available: model jinaai/jina-reranker-m0 at revision 94bfe0aeb2d4dd79783626"
    )


@pytest.mark.parametrize(
    "arguments", [["--model", "Qwen/Qwen3-Reranker-0.6B"], ["--model", "here", "--model_like", "nobody/x"]]
)
def test_models_of_which_nothing_is_known(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny.bert(tmp_path / "here")
    capsys.readouterr()
    assert main(["verify", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "no published scores of Qwen" in line or "--model_like nobody/x: not in the catalogue" in line


def test_unlisted_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--model", str(tiny.bert(tmp_path))]) == 2
    assert "no published scores of this model are known, only of small-cross-encoder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("score", "agrees"), [(1.0, True), (1.05, True), (0.949, False), (float("nan"), False), (float("inf"), False)]
)
def test_what_agrees(score: float, agrees: bool) -> None:
    one = Published("m", "card", (("q", "d", 1.0), ("q", "long " * 20, 0.5)), tolerance=0.051)
    lines, verdict = verify.compare(one, [score, 0.5])
    assert verdict is agrees
    assert lines[2].startswith("long long long long long long long long long lo...  ")


def test_published_scores_are_of_models_of_the_catalogue() -> None:
    assert {one.model for one in PUBLISHED} <= {model.name for model in catalogue.MODELS}
    for one in PUBLISHED:
        settings = catalogue.with_options(catalogue.named(one.model) or catalogue.UNLISTED, one.options)
        assert settings.max_length != 0
    carded = {model.name for model in catalogue.MODELS if model.checked == catalogue.CARD}
    assert carded == {one.model for one in PUBLISHED if "model card" in one.source}


def test_other_commands_need_no_torch() -> None:
    code = "import sys, eval.__main__; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"
