"""`python -m eval throughput --host_only`: what it measures, not how fast that is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.throughput.random_models import tokenizer
from eval.throughput.tasks import of_length
from transforms.scoring import RankingTask


def test_host_only_measures_each_family_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    assert main(["throughput", "--host_only", "--pairs", "60", "--repeats", "2", "--json", str(path)]) == 0
    figures = json.loads(path.read_text())
    assert list(figures["families"]) == ["cross_encoder", "embedding", "yes_no", "m0", "listwise"]
    assert figures["families"]["cross_encoder"]["tokens"] == 60 * 155
    steps = ["tokenise", "prepare", "plan", "pack", "prepare, plan and pack"]
    for family in figures["families"].values():
        assert list(family["pairs_per_second"]) == steps
        assert [list(seconds) for seconds in family["seconds"]] == [steps[:4]] * 2
        best = min(sum(seconds[step] for step in steps[1:4]) for seconds in family["seconds"])
        assert family["pairs_per_second"][steps[4]] == pytest.approx(60 / best)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "60 pairs; pairs/s of one core, the fastest repeat; 65,536 tokens a pass"
    assert [line.split()[0] for line in lines[4:]] == list(figures["families"])


def test_host_only_measures_the_family_of_a_model(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    arguments = ["--model", "small-cross-encoder", "--device", "cpu", "--batch_tokens", "512", "--pairs", "3"]
    assert main(["throughput", "--host_only", *arguments, "--repeats", "1", "--json", str(path)]) == 0
    figures = json.loads(path.read_text())
    assert list(figures["families"]) == ["cross_encoder"]
    assert (figures["pairs"], figures["batch_tokens"]) == (3, 512)


def test_documents_are_cut_or_begun_again_to_make_pairs_of_one_length() -> None:
    [task] = of_length([RankingTask("a b", ["c d", "e f g h i j"])], 9, tokenizer(512))  # three special tokens
    assert task.documents == ["c d c d", "e f g h"]


def test_a_model_must_be_given_where_more_than_the_host_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput"]) == 2
    assert capsys.readouterr().err == "error: --model: none is given; give one, or --host_only\n"
