"""Triton kernels for what no kept library has in one: the sum and its LayerNorm, and the norm and rotary positions of
heads. liger-kernel does the last two one after the other, and sums short rows in another order where they are many.

A program computes one token in float32 and rounds once; what it gives does not depend on how many others there are.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def _add_layer_norm(  # type: ignore[no-untyped-def] # Triton reads annotations as its own
    states,
    residual,
    weight,
    bias,
    output,
    epsilon,
    SIZE: tl.constexpr,  # noqa: N803
    PADDED: tl.constexpr,  # noqa: N803
):
    token = tl.program_id(0).to(tl.int64) * SIZE
    places = tl.arange(0, PADDED)
    inside = places < SIZE
    total = tl.load(states + token + places, inside, other=0.0).to(tl.float32)
    total += tl.load(residual + token + places, inside, other=0.0).to(tl.float32)
    centred = tl.where(inside, total - tl.sum(total, 0) / SIZE, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, 0) / SIZE + epsilon)
    factors = tl.load(weight + places, inside, other=0.0).to(tl.float32)
    offsets = tl.load(bias + places, inside, other=0.0).to(tl.float32)
    tl.store(output + token + places, centred * scale * factors + offsets, inside)


def add_layer_norm(
    states: torch.Tensor, residual: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, epsilon: float
) -> torch.Tensor:
    """LayerNorm (Ba et al. 2016, arXiv 1607.06450) of a sum, both of shape [..., size], to the same shape."""
    states, residual = states.contiguous(), residual.contiguous()
    output, size = torch.empty_like(states), states.shape[-1]
    padded = triton.next_power_of_2(size)
    with torch.cuda.device_of(states):  # where Triton starts a kernel
        _add_layer_norm[(states.numel() // size,)](
            states,
            residual,
            weight,
            bias,
            output,
            epsilon,
            SIZE=size,
            PADDED=padded,
            num_warps=4 if padded < 2048 else 8,
        )
    return output


@triton.jit
def _rotated(  # type: ignore[no-untyped-def]
    states,
    weight,
    cosine,
    sine,
    output,
    token_stride,
    head_stride,
    cosine_stride,
    sine_stride,
    epsilon,
    HEADS: tl.constexpr,  # noqa: N803
    HALF: tl.constexpr,  # noqa: N803
    HEADS_PADDED: tl.constexpr,  # noqa: N803
    HALF_PADDED: tl.constexpr,  # noqa: N803
    NORM: tl.constexpr,  # noqa: N803
):
    token = tl.program_id(0).to(tl.int64)
    heads = tl.arange(0, HEADS_PADDED)[:, None]
    places = tl.arange(0, HALF_PADDED)[None, :]
    inside = (heads < HEADS) & (places < HALF)
    source = states + token * token_stride + heads * head_stride + places
    first = tl.load(source, inside, other=0.0).to(tl.float32)
    second = tl.load(source + HALF, inside, other=0.0).to(tl.float32)
    if NORM:
        squares = tl.sum(first * first, 1) + tl.sum(second * second, 1)
        scale = tl.rsqrt(squares / (2 * HALF) + epsilon)[:, None]
        first *= scale * tl.load(weight + places, places < HALF, other=0.0).to(tl.float32)
        second *= scale * tl.load(weight + HALF + places, places < HALF, other=0.0).to(tl.float32)
    by_cosine = tl.load(cosine + token * cosine_stride + places, places < HALF, other=0.0).to(tl.float32)
    by_sine = tl.load(sine + token * sine_stride + places, places < HALF, other=0.0).to(tl.float32)
    target = output + token * (2 * HEADS * HALF) + heads * (2 * HALF) + places
    tl.store(target, first * by_cosine - second * by_sine, inside)
    tl.store(target + HALF, second * by_cosine + first * by_sine, inside)


def rotated(
    states: torch.Tensor, norm: torch.nn.Module | None, cosine: torch.Tensor, sine: torch.Tensor
) -> torch.Tensor:
    """Heads with their positions in them, as `cpu_layers.rotated`.

    Args:
        states: shape [1, T, heads, head size]; the numbers of a head lie side by side.
        norm: RMSNorm of each head before; None for none.
        cosine: of the angles, shape [1, T, head size], the second half like the first.
        sine: likewise.

    Returns:
        The shape of `states`.
    """
    _, tokens, heads, size = states.shape
    output = torch.empty(states.shape, dtype=states.dtype, device=states.device)
    weight, epsilon = (states, 0.0) if norm is None else (norm.weight, float(norm.variance_epsilon))  # type: ignore[arg-type]
    with torch.cuda.device_of(states):  # where Triton starts a kernel
        _rotated[(tokens,)](
            states,
            weight,
            cosine,
            sine,
            output,
            states.stride(1),
            states.stride(2),
            cosine.stride(1),
            sine.stride(1),
            epsilon,
            HEADS=heads,
            HALF=size // 2,
            HEADS_PADDED=triton.next_power_of_2(heads),
            HALF_PADDED=triton.next_power_of_2(size // 2),
            NORM=norm is not None,
            num_warps=4,
        )
    return output
