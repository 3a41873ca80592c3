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

from transforms.scoring.packing import Packed, Run

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
    **unused: Any,
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

    heads, tokens, size = query.shape[1:]
    output = query.new_empty(tokens, heads, size)
    for run in packed.runs:
        attended = scaled_dot_product_attention(
            _rectangle(query, run),
            _rectangle(key, run),
            _rectangle(value, run),
            is_causal=bool(getattr(module, "is_causal", False)),
            scale=scaling,
            enable_gqa=key.shape[1] != heads,
        )
        place = output[run.start : run.start + run.sequences * run.length]
        place.view(run.sequences, run.length, heads, size).copy_(attended.transpose(1, 2))
    return output.unsqueeze(0), None


def _rectangle(tensor: torch.Tensor, run: Run) -> torch.Tensor:
    """The run's part of [1, heads, T, head size] as [sequences, heads, length, head size], without copying."""
    part = tensor[0].narrow(1, run.start, run.sequences * run.length)
    return part.view(len(part), run.sequences, run.length, part.shape[-1]).transpose(0, 1)


AttentionInterface.register(PACKED, packed_sdpa)
