from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from transforms.scoring.attention import packed_sdpa
from transforms.scoring.packing import TokenSequence, pack

CPU = torch.device("cpu")
LENGTHS = (7, 3, 3, 3, 1, 5)
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
    output, weights = packed_sdpa(Layer(causal), query, key, value, None, packed=pack(sequences, CPU), scaling=scaling)
    assert weights is None
    return output


def one_by_one(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, causal: bool, scaling: float
) -> torch.Tensor:
    """Softmax attention written out, for one sequence after the other: shape [1, T, heads, head size]."""
    shared = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    parts = []
    for q, k, v in zip(*(tensor.split(LENGTHS, 2) for tensor in (query, key, value)), strict=True):
        products = q @ k.transpose(-1, -2) * scaling
        if causal:
            later = torch.ones(products.shape[-2:]).triu(1).bool()
            products = products.masked_fill(later, -torch.inf)
        parts.append(products.softmax(-1) @ v)
    return torch.cat(parts, 2).transpose(1, 2)


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
