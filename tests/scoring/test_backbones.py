from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.scoring import tiny, tiny_causal
from transforms.errors import UserError
from transforms.scoring import backbones, checkpoint
from transforms.scoring.packing import Packed, TokenSequence, pack

CPU = torch.device("cpu")


def packed(*sequences: list[int]) -> Packed:
    inputs = [TokenSequence(np.array(ids, dtype=np.int32), np.zeros(1, dtype=np.int32), len(ids)) for ids in sequences]
    return pack(inputs, CPU)


def test_roberta_counts_places_from_the_padding_on_and_skips_it() -> None:
    places = backbones.roberta_positions(packed([0, 5, 1, 6], [0, 7], [1, 0]), padding=1)
    assert places.tolist() == [2, 3, 1, 4, 2, 3, 1, 2]


def test_model_of_another_kind(tmp_path: Path) -> None:
    found = checkpoint.locate(str(tiny_causal.qwen3(tmp_path)))
    with pytest.raises(UserError, match=r"config.json says model_type 'qwen3', but bert or qwen2 is needed here"):
        backbones.check(found, ("bert", "qwen2"), {})


def test_sliding_windows(tmp_path: Path) -> None:
    folder = tiny_causal.qwen2(tmp_path)
    tiny.change(folder / "config.json", layer_types=["full_attention", "sliding_attention"], sliding_window=4)
    found = checkpoint.locate(str(folder))
    with pytest.raises(UserError, match=r"it attends in sliding windows, which is not supported here$"):
        backbones.check(found, ("qwen2",), checkpoint.outline(found))


def test_config_that_cannot_be_understood(tmp_path: Path) -> None:
    folder = tiny_causal.qwen2(tmp_path)
    tiny.change(folder / "config.json", hidden_size="wide")
    with pytest.raises(UserError, match=r"^model .*: config.json cannot be understood: .*hidden_size.*"):
        backbones.check(checkpoint.locate(str(folder)), ("qwen2",), {})


def test_no_sequence_sees_another(tmp_path: Path) -> None:
    found = checkpoint.locate(str(tiny_causal.qwen2(tmp_path)))
    backbone = backbones.load(found, ("qwen2",), checkpoint.read_tensors(found), dtype=torch.float32, device=CPU)
    together = backbone(packed([1, 2, 3], [4, 5, 6], [7]))
    apart = torch.cat([backbone(packed(ids)) for ids in ([1, 2, 3], [4, 5, 6], [7])])
    assert torch.allclose(together, apart, atol=1e-5)
    assert backbone.size == 16
