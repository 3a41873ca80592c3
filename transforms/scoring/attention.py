"""Attention over packed sequences, for transformers' own model classes.

The models are built with `attn_implementation=PACKED` and called with `packed=Packed(...)`; transformers hands that
keyword through to the function registered here, and builds no mask for an implementation that it has no mask for. No
sequence sees another, and nothing is padded.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from transforms.scoring.packing import Packed

PACKED = "packed_sdpa"


def packed_sdpa(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    packed: Packed,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """torch's scaled_dot_product_attention, once for each run of equally long sequences; works on every device.

    Args:
        module: the attention layer; its `is_causal` says whether a token sees only earlier ones.
        query: shape [1, heads, T, head size].
        key: shape [1, key-value heads, T, head size]; fewer heads than the query's are shared (grouped queries).
        value: like key.
        attention_mask: None; which tokens see which follows from `packed`.
        packed: where each sequence lies.
        scaling: factor on the products; None for 1 / sqrt(head size).

    Returns:
        Shape [1, T, heads, head size], and None in the place of attention weights.
    """
    assert attention_mask is None, "packed sequences need no mask"

    def rectangle(tensor: torch.Tensor, start: int, count: int, length: int) -> torch.Tensor:
        """[1, heads, T, size] -> [count, heads, length, size], a view."""
        return tensor[0, :, start : start + count * length].unflatten(1, (count, length)).transpose(0, 1)

    _, heads, tokens, size = query.shape
    output = query.new_empty(tokens, heads, size)
    for start, count, length in packed.runs:
        attended = scaled_dot_product_attention(
            rectangle(query, start, count, length),
            rectangle(key, start, count, length),
            rectangle(value, start, count, length),
            is_causal=bool(getattr(module, "is_causal", False)),
            scale=scaling,
            enable_gqa=key.shape[1] != heads,
        )
        output[start : start + count * length].view(count, length, heads, size).copy_(attended.transpose(1, 2))
    return output.unsqueeze(0), None


AttentionInterface.register(PACKED, packed_sdpa)
