from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support import tiny, tiny_causal
from transforms.base.errors import UserError
from transforms.scoring.packed.attention import implementation
from transforms.scoring.packed.execution import Placement
from transforms.scoring.packed.packing import Filling, Packed, filled, pack
from transforms.scoring.packed.sequences import NO_PREFIX, Prefix, TokenSequence, sequences_of
from transforms.scoring.weights import backbones, checkpoints, gpu_layers

CPU = torch.device("cpu")


def packed(*sequences: list[int], everywhere: bool = False) -> Packed:
    """Sequences that are read at their first token, or at all."""
    reads = [np.arange(len(ids) if everywhere else 1, dtype=np.int32) for ids in sequences]
    inputs = [TokenSequence(np.array(ids), read, len(ids)) for ids, read in zip(sequences, reads, strict=True)]
    return pack(sequences_of(inputs), CPU)


def test_roberta_counts_places_from_the_padding_on_and_skips_it() -> None:
    places = backbones.roberta_positions(packed([0, 5, 1, 6], [0, 7], [1, 0]), padding=1)
    assert places.tolist() == [2, 3, 1, 4, 2, 3, 1, 2]


def test_model_of_another_kind(tmp_path: Path) -> None:
    checkpoint = checkpoints.locate(str(tiny_causal.qwen3(tmp_path)))
    with pytest.raises(UserError, match=r"config.json says model_type 'qwen3', but bert or qwen2 is needed here"):
        backbones.check(checkpoint, ("bert", "qwen2"), {})


@pytest.mark.parametrize("window", [None, 0, -4])
def test_layers_with_a_window_that_has_no_size(tmp_path: Path, window: int | None) -> None:
    folder = tiny_causal.qwen2(tmp_path)
    content = tiny.read(folder / "config.json")
    content |= {"layer_types": ["full_attention", "sliding_attention"], "use_sliding_window": True}
    tiny.write(folder / "config.json", content | {"sliding_window": window})
    checkpoint = checkpoints.locate(str(folder))
    with pytest.raises(UserError, match=r"config.json has layers with sliding_attention, but no sliding_window above"):
        backbones.check(checkpoint, ("qwen2",), checkpoints.outline(checkpoint))


def test_config_that_cannot_be_understood(tmp_path: Path) -> None:
    folder = tiny_causal.qwen2(tmp_path)
    tiny.change(folder / "config.json", hidden_size="wide")
    with pytest.raises(UserError, match=r"^model .*: config.json cannot be understood: .*hidden_size.*"):
        backbones.check(checkpoints.locate(str(folder)), ("qwen2",), {})


def test_what_computes_the_layers_on_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(gpu_layers, "lack", lambda device: None)
    assert gpu_layers.made_by(gpu, torch.float32) == f"transformers {version('transformers')}"
    assert gpu_layers.made_by(gpu, torch.bfloat16).startswith("liger-kernel ")
    assert gpu_layers.made_by(CPU, torch.bfloat16) == ""


FLOAT32 = Placement(CPU, torch.float32)


def test_no_sequence_sees_another(tmp_path: Path) -> None:
    checkpoint = checkpoints.locate(str(tiny_causal.qwen2(tmp_path)))
    backbone = backbones.load(checkpoint, ("qwen2",), checkpoints.read_tensors(checkpoint), FLOAT32)
    together = backbone(packed([1, 2, 3], [4, 5, 6], [7], everywhere=True))
    apart = torch.cat([backbone(packed(ids, everywhere=True)) for ids in ([1, 2, 3], [4, 5, 6], [7])])
    assert together.shape == (7, 16)
    assert torch.allclose(together, apart, atol=1e-5)
    assert backbone.size == 16


@pytest.mark.parametrize("make", [tiny.bert, tiny.xlm_roberta, tiny.modern_bert, tiny_causal.qwen2, tiny_causal.qwen3])
def test_hidden_states_at_the_reads_are_those_of_the_whole_last_layer(
    tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = checkpoints.locate(str(make(tmp_path)))
    tensors = checkpoints.read_tensors(checkpoint)
    kinds = tuple(backbones.ARCHITECTURES)
    inputs = pack(
        sequences_of(
            [
                TokenSequence(np.array(ids, dtype=np.int32), np.array(reads, dtype=np.int32), len(ids))
                for ids, reads in (([1, 2, 3, 4], [1, 3]), ([5, 6], [0]), ([7, 8, 9], [2]))
            ]
        ),
        CPU,
    )
    at_reads = backbones.load(checkpoint, kinds, tensors, FLOAT32)(inputs)
    kind = backbones.kind_of(checkpoint)
    whole = {kind: backbones.ARCHITECTURES[kind]._replace(last=None)}
    monkeypatch.setattr(backbones, "ARCHITECTURES", {**backbones.ARCHITECTURES, **whole})
    torch.testing.assert_close(at_reads, backbones.load(checkpoint, kinds, tensors, FLOAT32)(inputs))


@pytest.mark.parametrize("mean", [True, False])
def test_what_fills_up_a_batch_changes_nothing_before_it(tmp_path: Path, mean: bool) -> None:
    checkpoint = checkpoints.locate(str(tiny.xlm_roberta(tmp_path)))
    tensors = checkpoints.read_tensors(checkpoint)
    backbone = backbones.load(checkpoint, ("xlm-roberta",), tensors, FLOAT32, mean=mean)
    inputs = packed([1, 2, 3], [4, 5])
    full = filled(inputs, Filling(64, 1))
    assert (len(full.ids), len(full.reads)) == (64, 64)
    states = backbone(full)
    assert states.shape == (64, 8)
    torch.testing.assert_close(states[: len(inputs.reads)], backbone(inputs))
    # As the first version had it, the head is not given what fills up a batch; the rest is computed alike.
    placement = FLOAT32._replace(fills_heads=False)
    without = backbones.load(checkpoint, ("xlm-roberta",), tensors, placement, mean=mean)(full)
    assert torch.equal(without, states[: len(inputs.reads)])


@pytest.mark.parametrize("make", [tiny.bert, tiny.xlm_roberta, tiny.modern_bert, tiny_causal.qwen2, tiny_causal.qwen3])
def test_a_pass_asks_for_no_number_that_a_gpu_would_have_to_be_waited_for(tmp_path: Path, make: Any) -> None:
    """On the device without numbers, where none can be asked for."""
    checkpoint = checkpoints.locate(str(make(tmp_path)))
    kind = backbones.kind_of(checkpoint)
    with torch.device("meta"):
        config = backbones.described(checkpoint, (kind,))
        config._attn_implementation = implementation("sdpa")
        backbone = backbones.Backbone(backbones.ARCHITECTURES[kind].model(config), kind)
    prefix = Prefix(0, 2) if kind.startswith("qwen") else NO_PREFIX
    sequence = TokenSequence(np.array([5, 6, 7], dtype=np.int32), np.array([0, 2], dtype=np.int32), 3, prefix)
    here = pack(sequences_of([sequence] * 2), CPU)
    tensors: dict[str, Any] = {
        name: part.to("meta") for name, part in vars(here).items() if isinstance(part, torch.Tensor)
    }
    assert backbone(replace(here, **tensors)).shape == (4, backbone.size)


def test_a_common_prefix_changes_no_hidden_state(tmp_path: Path) -> None:
    checkpoint = checkpoints.locate(str(tiny_causal.qwen3(tmp_path)))
    backbone = backbones.load(checkpoint, ("qwen3",), checkpoints.read_tensors(checkpoint), FLOAT32)

    def states(prefix: Prefix) -> torch.Tensor:
        ids = ([1, 2, 3, 4], [1, 2, 5], [1, 2, 6, 7, 8])
        sequences = [TokenSequence(np.array(one), np.array([len(one) - 1]), len(one), prefix) for one in ids]
        inputs = pack(sequences_of(sequences), CPU)
        assert len(inputs.ids) == 12 - 2 * prefix.tokens
        return backbone(inputs)

    torch.testing.assert_close(states(Prefix(0, 2)), states(NO_PREFIX))
