"""`python -m eval throughput`: tokenizers by name, lengths, batches of peers, and the pairs of a job."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from eval.__main__ import main
from eval.throughput import peers, random_models, rounds, sizes
from eval.throughput.arms import ArmResult
from eval.throughput.options import JOB_PAIRS
from eval.throughput.sizes import Sizes, _xlm_roberta
from tests.support import tiny
from transforms.base.errors import UserError
from transforms.scoring import RankingTask
from transforms.scoring.reranker import CHUNK_PAIRS

SMALL = {"a/small": Sizes(_xlm_roberta(2, 32, 2, 66), "classifier", "float32")}
TASKS = [RankingTask("a", ["b c"])]


@pytest.mark.parametrize(("pairs", "batches"), [(20, [32]), (33, [32, 128]), (129, [32, 128, 512])])
def test_a_batch_that_holds_all_pairs_is_the_last(pairs: int, batches: list[int]) -> None:
    assert peers.batches_for(pairs) == batches


def test_the_best_batch_of_a_peer_is_what_the_core_is_compared_with() -> None:
    speeds = {"core": (4.0, 1.0), "x": (1.0, 4.0), "x, batch 128": (2.0, 2.0), "x, batch 512": (1.5, 2.7), "y": (1, 4)}
    rows = {name: {"pairs_per_second": pairs, "core_is_faster": times} for name, (pairs, times) in speeds.items()}
    assert peers.best_batches(rows) == {"x": {"batch": 128, "pairs_per_second": 2.0, "core_is_faster": 2.0}}


def test_a_tokenizer_by_name_takes_the_embedded_ones_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "SIZES", SMALL)
    named = tiny.bert(tmp_path / "named")
    random_models.make("a/small", tmp_path / "model", str(named))
    made = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert made.get_vocab() == AutoTokenizer.from_pretrained(named).get_vocab()
    with pytest.raises(
        UserError, match=r"^--tokenizer .*: no tokenizer.json in it; give a directory or hub id that ha"
    ):
        random_models.make("a/small", tmp_path / "other", str(tmp_path))


def test_all_read_pairs_of_one_length_up_to_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "SIZES", SMALL)
    path = tmp_path / "figures.json"
    options = ["--device=cpu", "--dtype=float32", "--pairs=40", "--repeats=1", "--without", "ceiling", "whole job"]
    limits = ["--tokens_per_pair=50", "--max_length=40", f"--json={path}"]
    assert main(["throughput", "--model=a/small", *options, *limits]) == 0
    arms = json.loads(path.read_text())["arms"]
    assert {name: arm["tokens"] for name, arm in arms.items()} == dict.fromkeys(
        ["core", "sentence-transformers", "sentence-transformers, batch 128"], 40 * 40
    )


@pytest.mark.parametrize(
    ("device", "pairs", "measured"),
    [
        ("cuda", (8,), [("core", 8), ("core", JOB_PAIRS), ("whole job", JOB_PAIRS)]),
        ("cuda", (8, 9, JOB_PAIRS), [("core", 8), ("core", 9), ("core", JOB_PAIRS), ("whole job", JOB_PAIRS)]),
        ("cpu", (8,), [("core", 8), ("whole job", 8)]),
    ],
)
def test_a_job_on_a_gpu_counts_from_ten_chunks_on(
    device: str, pairs: tuple[int, ...], measured: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert JOB_PAIRS == 10 * CHUNK_PAIRS
    seen: list[tuple[str, int]] = []

    def run(name: str, tasks: Sequence[RankingTask]) -> ArmResult:
        seen.append((name, sum(len(task.documents) for task in tasks)))
        return ArmResult(1, 1)

    specification = SimpleNamespace(execution=SimpleNamespace(), settings=None)
    reranker = SimpleNamespace(device=torch.device(device), specification=specification)
    monkeypatch.setattr(rounds, "load", lambda *_: (reranker, "m"))
    monkeypatch.setattr(rounds, "all_arms", lambda *_: {name: partial(run, name) for name in ("core", "whole job")})
    monkeypatch.setattr(rounds, "timed", lambda work, device: (work(), 1.0, None))
    monkeypatch.setattr(rounds, "machine", lambda device: {})
    request: Any = SimpleNamespace(model="m", sizes=pairs, tokens_per_pair=None, repeats=1, price_per_hour=None)
    rounds.measure(request, TASKS, Path())
    assert [one for one in seen if one[1] > 1] == measured
