"""Attention over packed sequences, for transformers' own model classes.

The models are built with one of the implementations registered here and called with `packed=Packed(...)`; transformers
hands that keyword through, and builds no mask for an implementation that it has no mask for. No sequence sees another,
and nothing is padded but, on a CPU, to whole vectors.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch.nn.functional import pad, scaled_dot_product_attention
from transformers import AttentionInterface

from transforms.base.errors import UserError, one_line
from transforms.scoring.packed.packing import Packed, Run

# On a CPU torch's kernel takes keys in vectors of 16, and what is left over one by one, which for 15 keys takes longer
# than all the others of a short text: measured 1.2 to 3 times as long. Queries are padded for another reason: oneDNN
# keeps code for each length that it has met.
VECTOR = 16

# Query, key and value of shapes [E, heads, head size] and, where heads are shared, [E, key-value heads, head size];
# where the sequences lie; whether a token sees only earlier ones; the factor on the products, None for
# 1 / sqrt(head size). Gives shape [E, heads, head size].
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Packed, bool, float | None], torch.Tensor]


def sdpa(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, packed: Packed, causal: bool, scale: float | None
) -> torch.Tensor:
    """torch's scaled_dot_product_attention, once for each run of equally long sequences; works on every device."""
    output = torch.empty_like(query, memory_format=torch.contiguous_format)
    for run in packed.runs:
        queries, keys, values = (_rectangle(tensor, run) for tensor in (query, key, value))
        mask = None
        if query.device.type == "cpu" and (extra := -run.length % VECTOR):
            queries, keys, values = (pad(states, (0, 0, 0, extra)) for states in (queries, keys, values))
            if not causal:  # with causal attention no token sees the padding, which comes last
                mask = query.new_zeros(run.length + extra)
                mask[run.length :] = -torch.inf
                mask = mask.expand(1, 1, run.length + extra, -1)
        attended = scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=mask,
            is_causal=causal,
            scale=scale,
            enable_gqa=key.shape[1] != query.shape[1],
        )
        _rectangle(output, run).copy_(attended[:, :, : run.length])
    return output


def _rectangle(tensor: torch.Tensor, run: Run) -> torch.Tensor:
    """The run's part of [E, heads, head size] as [sequences, heads, length, head size], without copying."""
    part = tensor.narrow(0, run.start, run.sequences * run.length)
    return part.view(run.sequences, run.length, *part.shape[1:]).transpose(1, 2)


def torch_varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, packed: Packed, causal: bool, scale: float | None
) -> torch.Tensor:
    """The variable-length FlashAttention that comes with torch."""
    from torch.nn.attention.varlen import varlen_attn

    longest = max(packed.lengths)
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
        packed.offsets,
        packed.offsets,
        longest,
        longest,
        scale=scale,
        window_size=(-1, 0) if causal else (-1, -1),
        **further,
    )
    assert isinstance(attended, torch.Tensor)  # a pair only where more is asked for
    return attended


@cache
def _shares_heads(varlen_attn: Callable[..., Any]) -> bool:
    """Whether it takes fewer heads of keys and values than of queries, as from torch 2.12 on."""
    return "enable_gqa" in inspect.signature(varlen_attn).parameters


def flash_attention(
    module: str,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    packed: Packed,
    causal: bool,
    scale: float | None,
) -> torch.Tensor:
    """`flash_attn_varlen_func` of a package that has it."""
    longest = max(packed.lengths)
    attended: torch.Tensor | tuple[torch.Tensor, ...] = importlib.import_module(module).flash_attn_varlen_func(
        query,
        key,
        value,
        packed.offsets,
        packed.offsets,
        longest,
        longest,
        softmax_scale=scale,
        causal=causal,
    )
    return attended[0] if isinstance(attended, tuple) else attended


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
        partial(flash_attention, "fa3_fwd_interface"),
        "fa3_fwd_interface",
        (AMPERE, HOPPER),
        (torch.bfloat16,),
        range(64, 257, 8),
    ),
    "flash_attn_2": Kernel(
        partial(flash_attention, "flash_attn"), "flash_attn", (AMPERE, NEWEST), HALF, range(8, 257, 8)
    ),
    "torch_varlen": Kernel(torch_varlen, "torch.nn.attention.varlen", (AMPERE, NEWEST), HALF, range(8, 257, 8)),
    "sdpa": Kernel(sdpa, "torch"),
}


class Choice(NamedTuple):
    """A kernel, and why those before it in KERNELS were not taken, one line each."""

    name: str
    passed_over: tuple[str, ...]


def choose(wanted: str, device: str, dtype: torch.dtype, head_size: int) -> Choice:
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
    passed_over: list[str] = []
    for name, kernel in KERNELS.items():
        why = lack(kernel, device, dtype, head_size)
        if why is None:
            return Choice(name, tuple(passed_over))
        passed_over.append(f"{name}: {why}")
    raise AssertionError("sdpa can always be used")


def lack(kernel: Kernel, device: str, dtype: torch.dtype, head_size: int) -> str | None:
    """Why a kernel cannot be used so; None where it can."""
    if kernel.capabilities is not None:
        if device == "cpu":
            return "it needs a CUDA device"
        least, greatest = kernel.capabilities
        if not least <= (found := torch.cuda.get_device_capability(device)) <= greatest:
            return f"it does not support compute capability {found[0]}.{found[1]}"
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
    **unused: Any,
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

    Returns:
        Shape [1, T, heads, head size], and None in the place of attention weights.
    """
    assert attention_mask is None, "packed sequences need no mask"
    query, key, value = (state[0].transpose(0, 1) for state in (query, key, value))
    if packed.shared is not None:
        query, key, value = (state.index_select(0, packed.shared.sources) for state in (query, key, value))
    attended = KERNELS[kernel].attend(query, key, value, packed, bool(getattr(module, "is_causal", False)), scaling)
    if packed.shared is not None:
        attended = attended.index_select(0, packed.shared.kept)
    return attended.unsqueeze(0), None


for _name in KERNELS:
    AttentionInterface.register(implementation(_name), partial(_attention, _name))
