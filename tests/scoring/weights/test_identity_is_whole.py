"""Whatever file of a checkpoint is opened for its scores is in the identity of its weights."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny, tiny_encoder, tiny_listwise, tiny_modular
from transforms.scoring import Reranker
from transforms.scoring.weights import checkpoints

opened: set[Path] | None = None  # None: nothing is noted, since a hook cannot be taken away again


def note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and opened is not None and isinstance(arguments[0], str | Path):
        opened.add(Path(arguments[0]))


sys.addaudithook(note)
BESIDE = ("README.md", "generation_config.json", "trainer_state.json", "special_tokens_map.json", "added_tokens.json")


@pytest.mark.parametrize(
    "make",
    [tiny.bert, tiny_encoder.bert, tiny_encoder.qwen3, tiny_modular.modular_cross_encoder, tiny_listwise.checkpoint],
)
def test_every_file_that_is_opened_is_in_the_identity(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    global opened
    folder = make(tmp_path / "model")
    for name in BESIDE:
        tiny.write(folder / name, {})
    opened = set()
    try:
        Reranker.load(str(folder), device="cpu", dtype="float32").score("a b", ["c", "d e"])
        read = {path.relative_to(folder).as_posix() for path in opened if path.is_relative_to(folder)}
    finally:
        opened = None
    named = set(checkpoints.locate(str(folder)).identity()["files"])
    assert {"config.json", "tokenizer_config.json"} <= read <= named
    assert not {"README.md", "generation_config.json", "trainer_state.json"} & named
