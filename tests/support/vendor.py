"""Golden checkpoints with options, for comparison with the scores of the vendors' code."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transforms.scoring import RankingTask, Reranker, catalogue
from transforms.scoring.packed import execution
from transforms.scoring.recognition import recognise
from transforms.scoring.reranker import FAMILIES, Specification
from transforms.scoring.weights import checkpoints, directory


def read_tokenizers_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tokenizer of 250,000 words is slow to read, and the same for all options."""
    load_tokenizer, read_json = checkpoints.load_tokenizer, directory.read_json
    read: dict[Path, Any] = {}
    read_once = cache(read_json)

    def load_once(checkpoint: checkpoints.Checkpoint) -> Any:
        if checkpoint.directory not in read:
            read[checkpoint.directory] = load_tokenizer(checkpoint)
        return read[checkpoint.directory]

    def check_once(path: Path, model: str) -> dict[str, Any]:
        return read_once(path, model) if path.name == "tokenizer.json" else read_json(path, model)

    monkeypatch.setattr(checkpoints, "load_tokenizer", load_once)
    monkeypatch.setattr(directory, "read_json", check_once)


def loader(folder: Path, like: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], Reranker]:
    """Options to the checkpoint in float32, scored as that model of the catalogue; its tokenizer is read once."""
    read_tokenizers_once(monkeypatch)
    checkpoint = checkpoints.locate(str(folder))
    model = recognise(checkpoint, like)

    @cache
    def load(options: tuple[tuple[str, Any], ...]) -> Reranker:
        settings = FAMILIES[model.family].resolve(checkpoint, catalogue.with_options(model, dict(options)))
        return Reranker(
            Specification(model, checkpoint, settings, execution.resolve("cpu", "float32", attention="sdpa"))
        )

    return lambda options: load(tuple(options.items()))


def largest_difference(reranker: Reranker, case: dict[str, Any]) -> tuple[float, int]:
    """Between our scores of a golden case and the vendor's, and how many were compared."""
    pairs = case.get("pairs") or [(case["query"], document) for document in case["documents"]]
    scores = reranker.score_tasks([RankingTask(query, [document]) for query, document in pairs]).score
    expected = np.array(case["scores"], dtype=np.float64)  # null, where the vendor gave no score, becomes NaN
    scored = ~np.isnan(expected)
    return float(np.abs(scores - expected)[scored].max()), int(scored.sum())
