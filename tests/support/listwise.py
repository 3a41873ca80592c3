"""A tiny listwise model, its inputs and its scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transforms.scoring import RankingTask, Reranker
from transforms.scoring.families.listwise import Listwise, Prepared
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.settings import ListwiseSettings as Settings
from transforms.scoring.weights.checkpoints import load_tokenizer, locate

QUERY = "what is it?"
DOCUMENTS = ["a cab", "back to the lab\n", "", "12 bananas", "\n\nabba  baab"]


def load(folder: Path, **options: Any) -> Reranker:
    return Reranker.load(str(folder), device="cpu", **{"dtype": "float32", "batch_tokens": 8192, **options})


def family(folder: Path, **fields: Any) -> Listwise:
    """The family without a model, for what comes before one."""
    return Listwise(Settings(**{"max_length": 30_000, **fields}), None, [], load_tokenizer(locate(str(folder))))  # type: ignore[arg-type]


def prepare(folder: Path, *tasks: RankingTask, **fields: Any) -> Prepared:
    scorer = family(folder, **fields)
    return scorer.prepare(tasks, Tokens(scorer.tokenizer))
