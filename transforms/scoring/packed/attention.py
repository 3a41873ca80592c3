"""Attention over packed sequences, for transformers' own model classes.

The models are built with one of the implementations registered here and called with `packed=Packed(...)`; transformers
hands that keyword through, and builds no mask for an implementation that it has no mask for. No sequence sees another,
and nothing is padded but, on a CPU, to whole vectors.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface

from transforms.base.errors import UserError, one_line
from transforms.scoring.packed.packing import Packed, Run
from transforms.scoring.packed.reach import EARLIER, EVERYTHING, Attend, Reach
from transforms.scoring.packed.variable_length import by_length, flash_attention, flash_attention_3, torch_varlen

# On a CPU torch's kernel takes keys in vectors of 16, and what is left over one by one, which for 15 keys takes longer
# than all the others of a short text: measured 1.2 to 3 times as long. Queries are padded for another reason: oneDNN
# keeps code for each length that it has met.
VECTOR = 16
BLOCK = 128  # queries that are computed together where there is a window, at least


def sdpa(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, packed: Packed, reach: Reach, scale: float | None
) -> torch.Tensor:
    """torch's scaled_dot_product_attention, once for each run of equally long sequences; works on every device."""
    output = torch.empty_like(query, memory_format=torch.contiguous_format)
    further: dict[str, Any] = {"scale": scale, "enable_gqa": key.shape[1] != query.shape[1]}
    for run in packed.runs:
        states = tuple(_rectangle(tensor, run) for tensor in (query, key, value))
        seen = reach.within(run.length)
        if seen in (EVERYTHING, EARLIER):
            attended = _whole(*states, causal=seen == EARLIER, further=further)
        else:
            attended = _in_blocks(*states, reach=seen, further=further)
        _rectangle(output, run).copy_(attended[:, :, : run.length])
    return output


def _whole(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, causal: bool, further: Mapping[str, Any]
) -> torch.Tensor:
    """Of [sequences, heads, length, head size], at least so many rows of the same."""
    length, mask = query.shape[2], None
    if query.device.type == "cpu" and (extra := -length % VECTOR):
        query, key, value = (pad(states, (0, 0, 0, extra)) for states in (query, key, value))
        if not causal:  # with causal attention no token sees the padding, which comes last
            mask = query.new_zeros(length + extra)
            mask[length:] = -torch.inf
            mask = mask.expand(1, 1, length + extra, -1)
    attended: torch.Tensor = scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=causal, **further
    )
    return attended


def _in_blocks(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, reach: Reach, further: Mapping[str, Any]
) -> torch.Tensor:
    """The same with a window: blocks of queries, each with the keys that some token of it sees.

    Blocks are a quarter of the window, so that few products are computed that are not needed, but not so short that
    the kernel is slow (measured on a CPU); a sequence that is not much longer than the window is one block.
    """
    sequences, _, length, _ = query.shape
    before, after = (length - 1 if bound is None else bound for bound in reach)
    block = max(BLOCK, _whole_vectors((before + after) // 4))
    blocks, span = -(-length // block), _whole_vectors(before + block + after)
    if blocks * block * span >= length * length:  # one block of all costs no more
        block, blocks, span, before = *(_whole_vectors(length), 1, _whole_vectors(length)), 0
    queries = _extended(query, 0, blocks * block).unflatten(2, (blocks, block)).transpose(1, 2).flatten(0, 1)
    keys, values = (
        _extended(states, before, (blocks - 1) * block + span)
        .unfold(2, span, block)
        .permute(0, 2, 1, 4, 3)
        .flatten(0, 1)
        for states in (key, value)
    )
    first = torch.arange(blocks, device=query.device)[:, None, None] * block
    places = first + torch.arange(block, device=query.device)[:, None]
    others = first - before + torch.arange(span, device=query.device)
    seen = (others >= 0) & (others < length)
    if reach.before is not None:
        seen = seen & (others >= places - reach.before)
    if reach.after is not None:
        seen = seen & (others <= places + reach.after)
    mask = query.new_zeros(seen.shape).masked_fill_(~seen, -torch.inf)
    mask = mask[None, :, None].expand(sequences, -1, -1, -1, -1).flatten(0, 1)
    attended: torch.Tensor = scaled_dot_product_attention(queries, keys, values, attn_mask=mask, **further)
    # Back from [sequences * blocks, heads, block, head size].
    return attended.view(sequences, blocks, *attended.shape[1:]).transpose(1, 2).flatten(2, 3)


def _extended(states: torch.Tensor, before: int, length: int) -> torch.Tensor:
    """[..., tokens, head size] with so many zeros before and as many after as make the length; no copy without any."""
    after = length - before - states.shape[2]
    return pad(states, (0, 0, before, after)) if before or after else states


def _whole_vectors(length: int) -> int:
    """The length, rounded up."""
    return length + -length % VECTOR


def _rectangle(tensor: torch.Tensor, run: Run) -> torch.Tensor:
    """The run's part of [E, heads, head size] as [sequences, heads, length, head size], without copying."""
    part = tensor.narrow(0, run.start, run.sequences * run.length)
    return part.view(run.sequences, run.length, *part.shape[1:]).transpose(1, 2)


class Kernel(NamedTuple):
    """An implementation of attention, and where it can be used.

    Attributes:
        attend: what computes it.
        module: what must be importable for it.
        capabilities: the least and the greatest compute capability of a CUDA device; None where any device will do.
        dtypes: the number formats that it takes; none for all.
        head_sizes: the sizes of a head that it takes; none for all.
    """

    attend: Attend
    module: str
    capabilities: tuple[tuple[int, int], tuple[int, int]] | None = None
    dtypes: tuple[torch.dtype, ...] = ()
    head_sizes: range = range(0)


AMPERE, HOPPER, NEWEST = (8, 0), (9, 0), (99, 0)
HALF = (torch.bfloat16, torch.float16)
# Best first. Limits: fa3-fwd 0.0.3's interface and kernels; flash-attn's README; torch's documentation of varlen_attn.
KERNELS: Mapping[str, Kernel] = {
    "flash_attn_3": Kernel(
        by_length(flash_attention_3),
        "fa3_fwd_interface",
        (AMPERE, HOPPER),
        (torch.bfloat16,),
        range(64, 257, 8),
    ),
    "flash_attn_2": Kernel(
        by_length(partial(flash_attention, "flash_attn")), "flash_attn", (AMPERE, NEWEST), HALF, range(8, 257, 8)
    ),
    "torch_varlen": Kernel(
        by_length(torch_varlen), "torch.nn.attention.varlen", (AMPERE, NEWEST), HALF, range(8, 257, 8)
    ),
    "sdpa": Kernel(sdpa, "torch"),
}


class Choice(NamedTuple):
    """A kernel, and why those before it in KERNELS were not taken, one line each."""

    name: str
    skipped: tuple[str, ...]


def choose_kernel(wanted: str, device: str, dtype: torch.dtype, head_size: int) -> Choice:
    """The kernel to use.

    Args:
        wanted: a name in KERNELS, or "auto" for the first of them that can be used.
        device: "cpu", "cuda" or "cuda:N".
        dtype: of query, key and value.
        head_size: numbers in a head.

    Raises:
        UserError: there is no such kernel, or the one that is wanted cannot be used.
    """
    if wanted != "auto":
        if wanted not in KERNELS:
            raise UserError(f"--attention {wanted}: give auto, {', '.join(KERNELS)}")
        if why := lack(KERNELS[wanted], device, dtype, head_size):
            raise UserError(f"--attention {wanted}: {why}; use --attention auto")
        return Choice(wanted, ())
    skipped: list[str] = []
    for name, kernel in KERNELS.items():
        why = lack(kernel, device, dtype, head_size)
        if why is None:
            return Choice(name, tuple(skipped))
        skipped.append(f"{name}: {why}")
    raise AssertionError("sdpa can always be used")


def lack(kernel: Kernel, device: str, dtype: torch.dtype, head_size: int) -> str | None:
    """Why a kernel cannot be used so; None where it can."""
    if kernel.capabilities is not None:
        if device == "cpu":
            return "it needs a CUDA device"
        least, greatest = kernel.capabilities
        if not least <= (capability := torch.cuda.get_device_capability(device)) <= greatest:
            return f"it does not support compute capability {capability[0]}.{capability[1]}"
    if kernel.dtypes and dtype not in kernel.dtypes:
        return f"it does not take {str(dtype).removeprefix('torch.')}"
    if kernel.head_sizes and head_size not in kernel.head_sizes:
        return f"it does not take heads of size {head_size}"
    try:
        importlib.import_module(kernel.module)
    except ModuleNotFoundError:
        return "it is not installed"
    except (ImportError, OSError) as error:  # built for another torch or CUDA
        return f"it cannot be loaded: {one_line(error)}"
    return None


def implementation(kernel: str) -> str:
    """The name under which transformers knows a kernel: `attn_implementation`.

    Without the word "flash", since transformers takes each name that has it for one of its own or of a hub's.
    """
    return f"packed_{kernel.replace('flash_attn', 'fa')}"


# What transformers' models hand to attention and does not matter here: nothing is dropped out when scoring, positions
# are in the states already, and nothing is cached.
WITHOUT_EFFECT = frozenset({"dropout", "deterministic", "position_ids", "use_cache"})


def _attention(
    kernel: str,
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    packed: Packed,
    scaling: float | None = None,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    **further: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in every layer.

    Args:
        kernel: a name in KERNELS.
        module: the attention layer; its `is_causal` says whether a token sees only earlier ones.
        query: shape [1, heads, T, head size].
        key: shape [1, key-value heads, T, head size]; fewer heads than the query's are shared (grouped queries).
        value: like key.
        attention_mask: None; which tokens see which follows from `packed`.
        packed: where each sequence lies.
        scaling: factor on the products; None for 1 / sqrt(head size).
        sliding_window: a token sees the tokens that are less than so many places away; None for all.
        is_causal: what config.json says in place of the module, where it says it.

    Returns:
        Shape [1, T, heads, head size], and None in the place of attention weights.

    Raises:
        TypeError: transformers asks for something that would change the result and is not done here.
    """
    assert attention_mask is None, "packed sequences need no mask"
    if unknown := {name for name, value in further.items() if value is not None} - WITHOUT_EFFECT:
        raise TypeError(f"packed attention does not do {', '.join(sorted(unknown))}")
    reach = EARLIER if (getattr(module, "is_causal", False) if is_causal is None else is_causal) else EVERYTHING
    if sliding_window is not None:
        reach = Reach(sliding_window - 1, 0 if reach == EARLIER else sliding_window - 1)
    query, key, value = (state[0].transpose(0, 1) for state in (query, key, value))
    if packed.shared is not None:
        query, key, value = (state.index_select(0, packed.shared.sources) for state in (query, key, value))
    attended = KERNELS[kernel].attend(query, key, value, packed, reach, scaling)
    if packed.shared is not None:
        attended = attended.index_select(0, packed.shared.kept)
    return attended.unsqueeze(0), None


for _name in KERNELS:
    AttentionInterface.register(implementation(_name), partial(_attention, _name))
