from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from transforms.base.errors import UserError
from transforms.scoring.packed import attention
from transforms.scoring.packed.attention import KERNELS, Choice, choose_kernel, implementation, lack
from transforms.scoring.packed.packing import pack
from transforms.scoring.packed.reach import EARLIER, EVERYTHING, Reach
from transforms.scoring.packed.sequences import TokenSequence, sequences_of

CPU = torch.device("cpu")
LENGTHS = (7, 3, 3, 3, 1, 5, 16, 33)
NONE = np.zeros(0, dtype=np.int32)


class Layer(torch.nn.Module):
    def __init__(self, is_causal: bool) -> None:
        super().__init__()
        self.is_causal = is_causal


def states(heads: int, key_value_heads: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, count, sum(LENGTHS), 4) for count in (heads, key_value_heads, key_value_heads)]
    query, key, value = (torch.randn(shape, generator=generator) for shape in shapes)
    return query, key, value


def packed_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, causal: bool, scaling: float | None = None
) -> torch.Tensor:
    sequences = [TokenSequence(np.zeros(length, dtype=np.int32), NONE, length) for length in LENGTHS]
    attend = ALL_ATTENTION_FUNCTIONS[implementation("sdpa")]
    output: torch.Tensor
    output, weights = attend(
        Layer(causal), query, key, value, None, packed=pack(sequences_of(sequences), CPU), scaling=scaling
    )
    assert weights is None
    return output


def test_lengths_are_rounded_so_that_few_sizes_are_met(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    compute = scaled_dot_product_attention

    def record(query: torch.Tensor, key: torch.Tensor, *others: Any, **further: Any) -> torch.Tensor:
        seen.append((query.shape[2], key.shape[2]))
        return compute(query, key, *others, **further)

    monkeypatch.setattr(attention, "scaled_dot_product_attention", record)
    query = torch.zeros(1 + 15 + 16 + 17, 2, 4)
    sequences = [TokenSequence(np.zeros(length, dtype=np.int32), NONE, length) for length in (1, 15, 16, 17)]
    assert attention.sdpa(query, query, query, pack(sequences_of(sequences), CPU), EVERYTHING, None).shape == (49, 2, 4)
    assert seen == [(16, 16), (16, 16), (16, 16), (32, 32)]


def one_by_one(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    causal: bool,
    scaling: float,
    lengths: tuple[int, ...] = LENGTHS,
) -> torch.Tensor:
    """Softmax attention written out, for one sequence after the other: shape [1, T, heads, head size]."""
    shared = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    parts = []
    for q, k, v in zip(*(tensor.split(lengths, 2) for tensor in (query, key, value)), strict=True):
        products = q @ k.transpose(-1, -2) * scaling
        if causal:
            later = torch.ones(products.shape[-2:], device=products.device).triu(1).bool()
            products = products.masked_fill(later, -torch.inf)
        parts.append(products.softmax(-1) @ v)
    return torch.cat(parts, 2).transpose(1, 2)


def seen_within(length: int, reach: Reach) -> torch.Tensor:
    """Which tokens each one sees, written out."""
    distance = torch.arange(length)[None] - torch.arange(length)[:, None]
    before = length if reach.before is None else reach.before
    return (distance >= -before) & (distance <= (length if reach.after is None else reach.after))


@pytest.mark.parametrize("reach", [Reach(64, 64), Reach(31, 0), Reach(3, 3), Reach(100, 0), Reach(0, 0)])
@pytest.mark.parametrize("key_value_heads", [4, 2])
def test_a_window_is_what_a_mask_gives(reach: Reach, key_value_heads: int) -> None:
    """Shorter than the window, as long, in one block, in several, and in several sequences at once."""
    lengths = (1, 2, reach.before or 1, 33, 65, 65, 130, 300, 513, 513)
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn((sum(lengths), heads, 8), generator=generator) for heads in (4, key_value_heads, key_value_heads)
    )
    sequences = [TokenSequence(np.zeros(length, dtype=np.int32), NONE, length) for length in lengths]
    result = attention.sdpa(query, key, value, pack(sequences_of(sequences), CPU), reach, None)
    shared = 4 // key_value_heads
    start = 0
    for length in lengths:
        q, k, v = (states[start : start + length].transpose(0, 1) for states in (query, key, value))
        mask = seen_within(length, reach)
        expected = scaled_dot_product_attention(
            q, k.repeat_interleave(shared, 0), v.repeat_interleave(shared, 0), attn_mask=mask
        )
        torch.testing.assert_close(result[start : start + length], expected.transpose(0, 1))
        start += length


@pytest.mark.parametrize("causal", [False, True])
def test_transformers_window_counts_the_token_itself(causal: bool) -> None:
    """Qwen3: a key is seen if it is after the query's place less the window; ModernBERT hands on half of it and 1."""
    query, key, value = states(2, 2)
    sequences = [TokenSequence(np.zeros(length, dtype=np.int32), NONE, length) for length in LENGTHS]
    attend = ALL_ATTENTION_FUNCTIONS[implementation("sdpa")]
    result, _ = attend(
        Layer(causal), query, key, value, None, packed=pack(sequences_of(sequences), CPU), sliding_window=5
    )
    start = sum(LENGTHS[:-1])
    q, k, v = (tensor[0, :, start:] for tensor in (query, key, value))
    distance = torch.arange(33)[:, None] - torch.arange(33)[None]
    mask = (distance < 5) & (distance >= 0 if causal else distance > -5)
    expected = scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(result[0, start:], expected.transpose(0, 1))


def test_a_keyword_that_would_change_the_result_is_refused() -> None:
    query, key, value = states(2, 2)
    packed = pack(sequences_of([TokenSequence(np.zeros(sum(LENGTHS), dtype=np.int32), NONE, sum(LENGTHS))]), CPU)
    attend = ALL_ATTENTION_FUNCTIONS[implementation("sdpa")]
    attend(Layer(False), query, key, value, None, packed=packed, dropout=0.0, softcap=None)
    with pytest.raises(TypeError, match=r"^packed attention does not do softcap$"):
        attend(Layer(False), query, key, value, None, packed=packed, softcap=30.0)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("key_value_heads", [4, 2, 1])
def test_is_attention_within_each_sequence(causal: bool, key_value_heads: int) -> None:
    query, key, value = states(4, key_value_heads)
    expected = one_by_one(query, key, value, causal=causal, scaling=0.5)
    torch.testing.assert_close(packed_attention(query, key, value, causal=causal), expected)


def test_scaling_replaces_the_square_root_of_the_head_size() -> None:
    query, key, value = states(2, 2)
    expected = one_by_one(query, key, value, causal=False, scaling=0.125)
    torch.testing.assert_close(packed_attention(query, key, value, causal=False, scaling=0.125), expected)


@pytest.mark.parametrize("causal", [False, True])
def test_is_what_padding_with_a_mask_gives(causal: bool) -> None:
    query, key, value = states(2, 2)
    longest = max(LENGTHS)
    q, k, v = (
        torch.nn.utils.rnn.pad_sequence([part[0].transpose(0, 1) for part in tensor.split(LENGTHS, 2)], True)
        for tensor in (query, key, value)
    )  # each of shape [sequences, longest, heads, head size]
    is_token = torch.arange(longest) < torch.tensor(LENGTHS)[:, None]
    mask = is_token[:, None, None, :].expand(-1, 1, longest, -1)
    if causal:
        mask = mask & torch.ones(longest, longest).tril().bool()
    attended = scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask)
    expected = attended.transpose(1, 2)[is_token][None]
    torch.testing.assert_close(packed_attention(query, key, value, causal=causal), expected)


def test_another_sequence_changes_nothing() -> None:
    query, key, value = states(2, 2)
    before = packed_attention(query, key, value, causal=False)
    for tensor in (query, key, value):
        tensor[:, :, 7:10] = 100.0
    after = packed_attention(query, key, value, causal=False)
    assert torch.equal(before[:, :7], after[:, :7])
    assert torch.equal(before[:, 10:], after[:, 10:])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_is_no_number_stays_in_its_sequence(causal: bool, dtype: torch.dtype) -> None:
    query, key, value = (tensor.to(dtype) for tensor in states(2, 2))
    before = packed_attention(query, key, value, causal=causal)
    for tensor in (query, key, value):
        tensor[:, :, 7:10] = torch.nan
    after = packed_attention(query, key, value, causal=causal)
    assert torch.equal(before[:, :7], after[:, :7])
    assert torch.equal(before[:, 10:], after[:, 10:])
    assert after[:, 7:10].isnan().all()


@pytest.mark.parametrize("name", list(KERNELS))
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("heads", "key_value_heads", "size"), [(12, 12, 64), (16, 8, 128)])
def test_every_kernel_gives_what_float32_gives(
    name: str, causal: bool, heads: int, key_value_heads: int, size: int
) -> None:
    """Against softmax attention written out, in float32, of the same bfloat16 numbers."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if why := lack(KERNELS[name], device, torch.bfloat16, size):
        pytest.skip(f"{name} cannot run on this machine: {why}")
    lengths = (1, 7, 64, 200, 200, 513)
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn((sum(lengths), count, size), generator=generator).bfloat16().to(device)
        for count in (heads, key_value_heads, key_value_heads)
    )
    sequences = [TokenSequence(np.zeros(length, dtype=np.int32), NONE, length) for length in lengths]
    reach = EARLIER if causal else EVERYTHING
    result = KERNELS[name].attend(
        query, key, value, pack(sequences_of(sequences), torch.device(device)), reach, size**-0.5
    )
    exact = [state.float().transpose(0, 1)[None] for state in (query, key, value)]
    expected = one_by_one(*exact, causal=causal, scaling=size**-0.5, lengths=lengths)[0]
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.float(), expected, atol=0.02, rtol=0.02)  # bfloat16 has 8 bits: 2 ** -7 of 2


@pytest.mark.parametrize(
    ("device", "capability", "dtype", "head_size", "choice"),
    [
        ("cuda", (9, 0), torch.bfloat16, 64, Choice("flash_attn_3", ())),
        ("cuda:1", (8, 0), torch.bfloat16, 128, Choice("flash_attn_3", ())),
        ("cuda", (9, 0), torch.float16, 64, Choice("flash_attn_2", ("flash_attn_3: it does not take float16",))),
        (
            "cuda",
            (9, 0),
            torch.bfloat16,
            32,
            Choice("flash_attn_2", ("flash_attn_3: it does not take heads of size 32",)),
        ),
        (
            "cuda",
            (10, 0),
            torch.bfloat16,
            64,
            Choice("flash_attn_2", ("flash_attn_3: it does not support compute capability 10.0",)),
        ),
        (
            "cuda",
            (9, 0),
            torch.float32,
            64,
            Choice(
                "sdpa",
                (
                    "flash_attn_3: it does not take float32",
                    "flash_attn_2: it does not take float32",
                    "torch_varlen: it does not take float32",
                ),
            ),
        ),
        (
            "cuda",
            (7, 5),
            torch.float16,
            64,
            Choice(
                "sdpa",
                tuple(
                    f"{name}: it does not support compute capability 7.5"
                    for name in ("flash_attn_3", "flash_attn_2", "torch_varlen")
                ),
            ),
        ),
        (
            "cpu",
            None,
            torch.bfloat16,
            64,
            Choice(
                "sdpa",
                tuple(f"{name}: it needs a CUDA device" for name in ("flash_attn_3", "flash_attn_2", "torch_varlen")),
            ),
        ),
    ],
)
def test_the_best_kernel_that_can_be_used_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    capability: tuple[int, int] | None,
    dtype: torch.dtype,
    head_size: int,
    choice: Choice,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", {device: capability}.__getitem__)
    monkeypatch.setattr(importlib, "import_module", lambda name: None)  # all packages are there
    assert choose_kernel("auto", device, dtype, head_size) == choice
    assert choose_kernel(choice.name, device, dtype, head_size) == Choice(choice.name, ())


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ModuleNotFoundError("No module named 'flash_attn'"), "it is not installed"),
        (ImportError("undefined symbol: _ZN3c10"), "it cannot be loaded: undefined symbol: _ZN3c10"),
    ],
)
def test_package_that_is_not_there_or_broken(monkeypatch: pytest.MonkeyPatch, error: Exception, why: str) -> None:
    def fail(name: str) -> None:
        raise error

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(importlib, "import_module", fail)
    assert lack(KERNELS["flash_attn_2"], "cuda", torch.bfloat16, 64) == why


def test_kernel_that_cannot_be_used() -> None:
    with pytest.raises(UserError, match=r"^--attention torch_varlen: it needs a CUDA device; use --attention auto$"):
        choose_kernel("torch_varlen", "cpu", torch.bfloat16, 64)
    with pytest.raises(
        UserError, match=r"^--attention eager: give auto, flash_attn_3, flash_attn_2, torch_varlen, sdpa$"
    ):
        choose_kernel("eager", "cpu", torch.bfloat16, 64)


@pytest.mark.parametrize("name", list(KERNELS))
@pytest.mark.parametrize("reach", [Reach(127, 0), Reach(64, 64)])
def test_every_kernel_keeps_to_the_window(name: str, reach: Reach) -> None:
    """Against float32 with a mask, of the same bfloat16 numbers."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if why := lack(KERNELS[name], device, torch.bfloat16, 64):
        pytest.skip(f"{name} cannot run on this machine: {why}")
    lengths = (1, 7, 64, 200, 200, 513)
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn((sum(lengths), 4, 64), generator=generator).bfloat16().to(device) for _ in range(3)
    )
    sequences = [TokenSequence(np.zeros(length, dtype=np.int32), NONE, length) for length in lengths]
    result = KERNELS[name].attend(query, key, value, pack(sequences_of(sequences), torch.device(device)), reach, None)
    start = 0
    for length in lengths:
        q, k, v = (state[start : start + length].float().cpu().transpose(0, 1) for state in (query, key, value))
        expected = scaled_dot_product_attention(q, k, v, attn_mask=seen_within(length, reach)).transpose(0, 1)
        torch.testing.assert_close(result[start : start + length].float().cpu(), expected, atol=0.02, rtol=0.02)
        start += length
