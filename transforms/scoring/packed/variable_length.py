"""Kernels for GPUs that take packed sequences of any lengths: FlashAttention's packages, and torch's own."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

import torch

from transforms.scoring.packed.packing import Packed
from transforms.scoring.packed.reach import EARLIER, EVERYTHING, Attend, Reach


class Laid(NamedTuple):
    """Neighbouring sequences of a pack, N of them.

    Attributes:
        lengths: tokens of each sequence, N entries.
        offsets: int32, shape [N + 1], from 0; see `Packed`.
        tokens: where they stand in the pack.
    """

    lengths: tuple[int, ...]
    offsets: torch.Tensor
    tokens: slice


AttendLaid = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Laid, Reach, float | None], torch.Tensor]


def torch_varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, laid: Laid, reach: Reach, scale: float | None
) -> torch.Tensor:
    """The variable-length FlashAttention that comes with torch."""
    from torch.nn.attention.varlen import varlen_attn

    longest = max(laid.lengths)
    shared = query.shape[1] // key.shape[1]
    further: dict[str, Any] = {}
    if _shares_heads(varlen_attn):
        further["enable_gqa"] = shared > 1
    elif shared > 1:
        key, value = (states.repeat_interleave(shared, dim=1) for states in (key, value))
    attended = varlen_attn(
        query,
        key,
        value,
        laid.offsets,
        laid.offsets,
        longest,
        longest,
        scale=scale,
        window_size=_window(reach),
        **further,
    )
    assert isinstance(attended, torch.Tensor)  # a pair only where more is asked for
    return attended


@cache
def _shares_heads(varlen_attn: Callable[..., Any]) -> bool:
    """Whether it takes fewer heads of keys and values than of queries, as from torch 2.12 on."""
    return "enable_gqa" in inspect.signature(varlen_attn).parameters


def flash_attention_3(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, laid: Laid, reach: Reach, scale: float | None
) -> torch.Tensor:
    """The package fa3-fwd, and torch's own where a window matters, for which that package is not built (0.0.3)."""
    if reach not in (EVERYTHING, EARLIER):
        return torch_varlen(query, key, value, laid, reach, scale)
    return flash_attention("fa3_fwd_interface", query, key, value, laid, reach, scale)


def flash_attention(
    module: str,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    laid: Laid,
    reach: Reach,
    scale: float | None,
) -> torch.Tensor:
    """`flash_attn_varlen_func` of a package that has it."""
    longest = max(laid.lengths)
    window = {} if reach in (EVERYTHING, EARLIER) else {"window_size": _window(reach)}
    attended: torch.Tensor | tuple[torch.Tensor, ...] = importlib.import_module(module).flash_attn_varlen_func(
        query,
        key,
        value,
        laid.offsets,
        laid.offsets,
        longest,
        longest,
        softmax_scale=scale,
        causal=reach.after == 0,
        **window,
    )
    return attended[0] if isinstance(attended, tuple) else attended


def by_length(attend: AttendLaid) -> Attend:
    """A kernel of variable lengths, for sequences that fit into the window apart from longer ones.

    A kernel is faster without a window than with one, and does not give the same bits; so which way a sequence goes has
    to follow from its own length alone. Neighbours that go one way, most often all, are computed together.
    """

    def attend_each(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, packed: Packed, reach: Reach, scale: float | None
    ) -> torch.Tensor:
        attended = []
        for laid in _laid(packed, reach.longest_within):
            states = query[laid.tokens], key[laid.tokens], value[laid.tokens]
            attended.append(attend(*states, laid, reach.within(max(laid.lengths)), scale))
        return attended[0] if len(attended) == 1 else torch.cat(attended)

    return attend_each


def _laid(packed: Packed, longest: float) -> Iterator[Laid]:
    """The packed sequences in stretches, of which none is longer than that, or all are."""
    first = start = 0
    for _, neighbours in groupby(packed.lengths, key=lambda length: length <= longest):
        lengths = tuple(neighbours)
        last, end = first + len(lengths), start + sum(lengths)
        offsets = packed.offsets[first : last + 1]
        yield Laid(lengths, offsets - start if start else offsets, slice(start, end))
        first, start = last, end


def _window(reach: Reach) -> tuple[int, int]:
    """As FlashAttention's `window_size`, both bounds inclusive, -1 for none."""
    before, after = (-1 if bound is None else bound for bound in reach)
    return before, after
