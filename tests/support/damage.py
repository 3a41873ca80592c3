"""Ways to change a checkpoint's files, and what they score then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.support import tiny
from transforms.scoring import Reranker
from transforms.scoring.weights.checkpoints import Tensors

DOCUMENTS = ["c", "d e f", "", "a b c d e f g h"]


def scores(folder: Path) -> list[float]:
    return Reranker.load(str(folder), device="cpu", dtype="float32").score("a b", DOCUMENTS)


def reweigh(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path)


def shard(folder: Path, *, index: bool) -> None:
    """Weights in two files, as large models have them."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    files = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    places = {key: files[i % 2] for i, key in enumerate(sorted(tensors))}
    for file in files:
        save_file({key: tensors[key] for key in places if places[key] == file}, folder / file)
    if index:
        tiny.write(folder / "model.safetensors.index.json", {"weight_map": places})


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def drop(*keys: str) -> Callable[[Path], None]:
    return lambda folder: reweigh(folder, lambda tensors: {key: tensors[key] for key in tensors if key not in keys})


def put(key: str, tensor: torch.Tensor) -> Callable[[Path], None]:
    return lambda folder: reweigh(folder, lambda tensors: tensors | {key: tensor})


def configure(**fields: object) -> Callable[[Path], None]:
    return lambda folder: tiny.change(folder / "config.json", **fields)
