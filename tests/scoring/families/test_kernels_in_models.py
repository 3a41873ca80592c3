"""Whole models with each kernel for GPUs, whose functions stand-ins with the same signatures take the place of.

The stand-ins compute what the kernels do, in float32, and refuse what these would refuse but for that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.attention import varlen
from torch.nn.functional import scaled_dot_product_attention

from tests.support import tiny, tiny_listwise
from transforms.scoring import RankingTask
from transforms.scoring.packed.attention import KERNELS, lack
from transforms.scoring.packed.packing import pack
from transforms.scoring.packed.reach import Reach
from transforms.scoring.packed.sequences import TokenSequence, sequences_of
from transforms.scoring.reranker import Reranker, Specification, specify

TASKS = [
    RankingTask("which words", ["words", "a few more words here", "none", "a few more words here"]),
    RankingTask("and which others", ["others"]),
]
# Largest difference of a score: rounding in float32 makes 5e-6 of one of 4.5. A kernel without the mask, the factor or
# the ends of sequences is off by 0.0048 at least.
CLOSE = 1e-5
Window = tuple[int, int]  # how many tokens before and after its own a token sees, -1 for all
FULL, CAUSAL = (-1, -1), (-1, 0)
Seen = list[tuple[int, int, Window]]  # heads of the queries, of keys and values, and the window


def attended(
    seen: Seen,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    offsets: torch.Tensor,
    longest: int,
    scale: float | None,
    window: Window,
) -> torch.Tensor:
    assert (offsets.dtype, offsets.dim(), offsets.stride()) == (torch.int32, 1, (1,))
    assert all(states.dim() == 3 and states.stride(-1) == 1 for states in (query, key, value))
    assert int(offsets[-1]) == len(query) == len(key) == len(value)
    assert type(longest) is int
    assert longest == int(offsets.diff().max())
    seen.append((query.shape[1], key.shape[1], window))
    shared = query.shape[1] // key.shape[1]
    output = torch.empty_like(query)
    for start, end in pairwise(offsets.tolist()):
        q, k, v = (states[start:end].transpose(0, 1) for states in (query, key, value))
        k, v = (states.repeat_interleave(shared, 0) for states in (k, v))
        distance = torch.arange(q.shape[1])[None] - torch.arange(q.shape[1])[:, None]
        before, after = (q.shape[1] if bound == -1 else bound for bound in window)
        mask = (distance >= -before) & (distance <= after)
        result = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
        output[start:end] = result.transpose(0, 1)
    return output


def flash_attn_varlen_func(
    seen: Seen,
    windows: bool,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    *,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: Window = FULL,
) -> torch.Tensor:
    """Of flash-attn 2.8 and fa3-fwd 0.0.3, which is built without windows, as far as both have the same parameters."""
    assert cu_seqlens_q is cu_seqlens_k
    assert max_seqlen_q == max_seqlen_k
    assert windows or window_size == FULL
    window = (window_size[0], 0 if causal else window_size[1])
    return attended(seen, q, k, v, cu_seqlens_q, max_seqlen_q, softmax_scale, window)


def varlen_attn_of_torch_2_11(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    seen: Seen,
    return_aux: None = None,
    scale: float | None = None,
    window_size: Window = FULL,
) -> torch.Tensor:
    assert query.shape[1] == key.shape[1]
    return attended(seen, query, key, value, cu_seq_q, max_q, scale, window_size)


def varlen_attn_of_torch_2_12(*inputs: Any, seen: Seen, enable_gqa: bool = False, **further: Any) -> torch.Tensor:
    query, key, value, offsets, _, longest, _ = inputs
    assert enable_gqa == (query.shape[1] != key.shape[1])
    return attended(seen, query, key, value, offsets, longest, further["scale"], further.get("window_size", FULL))


VARLEN = {"2.11": varlen_attn_of_torch_2_11, "2.12": varlen_attn_of_torch_2_12}


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What the stand-ins are given, from a model's first layer on."""
    calls: Seen = []
    for name in ("fa3_fwd_interface", "flash_attn"):
        module: Any = ModuleType(name)
        module.flash_attn_varlen_func = partial(flash_attn_varlen_func, calls, name == "flash_attn")
        monkeypatch.setitem(sys.modules, name, module)
    return calls


def scores(model: str, kernel: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    specification = specify(model, device="cpu", dtype="float32")
    assert isinstance(specification, Specification)
    run = replace(specification.execution, attention=kernel)
    return Reranker(replace(specification, execution=run)).score_tasks(TASKS).score


@pytest.fixture(params=["an encoder", "a language model with shared heads"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, tuple[int, int, Window]]:
    """A model, and what its attention is given."""
    if request.param == "an encoder":
        return "small-cross-encoder", (12, 12, FULL)
    return str(tiny_listwise.checkpoint(tmp_path / "model")), (4, 2, CAUSAL)


@pytest.mark.parametrize("kernel", ["flash_attn_3", "flash_attn_2"])
def test_flash_attention(kernel: str, model: tuple[str, tuple[int, int, Window]], seen: Seen) -> None:
    name, shape = model
    result = scores(name, kernel)
    assert set(seen) == {shape}
    np.testing.assert_allclose(result, scores(name, "sdpa"), atol=CLOSE)


@pytest.mark.parametrize("torch_version", VARLEN)
def test_torchs_own(
    torch_version: str, model: tuple[str, tuple[int, int, Window]], seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in: Callable[..., torch.Tensor] = VARLEN[torch_version]
    monkeypatch.setattr(varlen, "varlen_attn", partial(stand_in, seen=seen))
    name, (heads, shared, causal) = model
    result = scores(name, "torch_varlen")
    assert set(seen) == {(heads, shared if torch_version == "2.12" else heads, causal)}
    np.testing.assert_allclose(result, scores(name, "sdpa"), atol=CLOSE)


def hidden_states(model: str, **choices: Any) -> torch.Tensor:
    reranker: Any = Reranker.load(model, batch_tokens=64, **choices)
    assert reranker.device.type == choices["device"]
    with torch.inference_mode():
        return torch.cat([reranker.family.backbone(batch).float().cpu() for batch in reranker.batches(TASKS)])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("head_size", [32, 64, 128])
def test_the_kernels_of_this_machine(kernel: str, head_size: int, tmp_path: Path) -> None:
    """In bfloat16, on a GPU where there is one, against float32 on the CPU; with tokens that see later ones the
    difference is a twelfth and more."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = "small-cross-encoder"
    if head_size != 32:
        name = str(tiny_listwise.checkpoint(tmp_path / "model", head_size=head_size, scale=0.2))
    if why := lack(KERNELS[kernel], device, torch.bfloat16, head_size):
        pytest.skip(f"{kernel} cannot run on this machine: {why}")
    exact = hidden_states(name, device="cpu", dtype="float32")
    result = hidden_states(name, device=device, dtype="bfloat16", attention=kernel)
    assert (result - exact).abs().max() < 0.03 * exact.abs().max()
    scores = Reranker.load(name, device=device, dtype="bfloat16", attention=kernel).score_tasks(TASKS)
    assert np.isfinite(scores.score).all()
    assert scores.failures == {}


@pytest.mark.parametrize("kernel", ["flash_attn_3", "flash_attn_2", "torch_varlen"])
@pytest.mark.parametrize("family", ["ModernBERT", "v3.5"])
def test_layers_with_a_window(
    kernel: str, family: str, seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each layer has its own window; FlashAttention 3, which has none, leaves these layers to torch's own."""
    monkeypatch.setattr(varlen, "varlen_attn", partial(varlen_attn_of_torch_2_12, seen=seen))
    if family == "ModernBERT":
        name, expected = str(tiny.modern_bert(tmp_path, local_attention=2)), {(2, 2, FULL), (2, 2, (1, 1))}
    else:
        name, expected = str(tiny_listwise.windowed(tmp_path / "model", window=6)), {(4, 2, CAUSAL), (4, 2, (5, 0))}
    result = scores(name, kernel)
    assert set(seen) == expected
    np.testing.assert_allclose(result, scores(name, "sdpa"), atol=CLOSE)


@pytest.mark.parametrize("kernel", ["flash_attn_3", "flash_attn_2", "torch_varlen"])
@pytest.mark.parametrize(("reach", "short", "long"), [(Reach(2, 2), FULL, (2, 2)), (Reach(2, 0), CAUSAL, (2, 0))])
def test_the_way_of_a_sequence_follows_from_its_own_length(
    kernel: str, reach: Reach, short: Window, long: Window, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its bits would depend on whether a longer one is in the pack; here all ways give the same number."""
    stand_in = partial(varlen_attn_of_torch_2_12, seen=seen)
    monkeypatch.setattr(varlen, "varlen_attn", lambda *inputs, **further: stand_in(*inputs, **further) + 1)
    torch.manual_seed(0)
    none = np.zeros(0, np.int32)

    def attended(lengths: tuple[int, ...], states: torch.Tensor) -> torch.Tensor:
        packed = pack(
            sequences_of([TokenSequence(np.zeros(n, np.int32), none, n) for n in lengths]), torch.device("cpu")
        )
        return KERNELS[kernel].attend(states, states, states, packed, reach, None)

    lengths = (9, 4, 3, 2, 7, 1)
    states = torch.randn(sum(lengths), 2, 8)
    together = attended(lengths, states)
    assert [window for _, _, window in seen] == [long, short, long, short]
    alone = [attended((n,), part) for n, part in zip(lengths, states.split(lengths), strict=True)]
    assert torch.equal(together, torch.cat(alone))


def test_a_window_that_is_longer_than_all_texts_is_left_out(seen: Seen, tmp_path: Path) -> None:
    name = str(tiny.modern_bert(tmp_path, local_attention=64))
    scores(name, "flash_attn_3")
    assert set(seen) == {(2, 2, FULL)}
