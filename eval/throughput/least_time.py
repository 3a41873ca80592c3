"""The least time that a machine could take: a model's matrix products and attention, at speeds measured for them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import linear, scaled_dot_product_attention

from transforms.scoring.packed.attention import KERNELS
from transforms.scoring.packed.packing import Packed, pack
from transforms.scoring.packed.reach import EARLIER, EVERYTHING
from transforms.scoring.packed.sequences import TokenSequence, sequences_of
from transforms.scoring.weights.last_layer import LastPostNorm, LastPreNorm

REPEATS = 7
LAUNCHES = 20  # in a row on a GPU, which is done with a single product before the next is asked for


class LeastTime(NamedTuple):
    """What some batches cost at least.

    Attributes:
        seconds: in all.
        matrix_rate: floating-point operations a second, of linear layers.
        attention_rate: the same of attention.
    """

    seconds: float
    matrix_rate: float
    attention_rate: float


def measure(model: Any, batches: Sequence[Packed], *, causal: bool, kernel: str) -> LeastTime:
    """The least time of a model on some batches.

    The linear layers are measured one shape at a time on as many rows as the first batch has tokens; attention is
    scaled_dot_product_attention, or the core's kernel where that is faster, on sequences of one length, the mean that a
    token finds itself in, rounded to 16. What only the last layer's reads need is left out.

    Args:
        model: transformers' own without a head, as the core runs it.
        batches: what it runs.
        causal: whether a token sees only earlier ones, which takes half the operations.
        kernel: that the core computes attention with, a name in `attention.KERNELS`.
    """
    config = model.config
    parameter = next(parameter for parameter in model.parameters() if parameter.dim() == 2)
    shapes = linear_shapes(model)
    tokens = sum(len(batch.ids) for batch in batches)
    rows = len(batches[0].ids)
    product_seconds = sum(_product(shape, rows, parameter) / rows * count for shape, count in shapes.items()) * tokens
    operations = 2 * tokens * sum(count * rows_ * columns for (rows_, columns), count in shapes.items())

    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    lengths = np.array([length for batch in batches for length in batch.lengths])
    mean = (lengths**2).sum() / lengths.sum()
    seen = sum((lengths * _seen(lengths, window, causal)).sum() for window in _windows(config))
    attention = 4 * seen * heads * size
    rate = _attention_rate(max(16, round(mean / 16) * 16), rows, heads, size, parameter, causal, kernel)
    return LeastTime(product_seconds + attention / rate, operations / product_seconds, rate)


def _windows(config: Any) -> list[int | None]:
    """Of each layer, transformers' `sliding_window` of its attention."""
    kinds = getattr(config, "layer_types", None) or ["full_attention"] * config.num_hidden_layers
    # ModernBERT's configuration has half of the window, its attention that and the token itself.
    own = config.model_type == "modernbert"
    return [config.sliding_window + own if kind == "sliding_attention" else None for kind in kinds]


def _seen(lengths: NDArray[np.int64], window: int | None, causal: bool) -> NDArray[np.float64]:
    """How many tokens a token sees on the mean in sequences of such lengths."""
    sides = 1 if causal else 2
    if window is None:
        return lengths * sides / 2
    near = np.minimum(window - 1, lengths - 1)  # on a side, less what is missing at the ends
    return sides * near * (1 - (near + 1) / (2 * lengths)) + 1


def linear_shapes(model: Any) -> Counter[tuple[int, int]]:
    """How many linear layers of each shape (out, in) run on every token: all but what the last layer leaves out."""
    last = next((module for module in model.modules() if isinstance(module, (LastPostNorm, LastPreNorm))), None)
    in_last = set(last.modules()) if last is not None else set()
    always = ("query", "key", "value", "q_proj", "k_proj", "v_proj", "Wqkv")
    return Counter(
        (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and (module not in in_last or name.endswith(always))
    )


def least(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that the work takes at best."""
    times = []
    launches = LAUNCHES if device.type == "cuda" else 1
    for _ in range(REPEATS):
        synchronise(device)
        start = time.perf_counter()
        for _ in range(launches):
            work()
        synchronise(device)
        times.append((time.perf_counter() - start) / launches)
    return min(times)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@torch.inference_mode()
def _product(shape: tuple[int, int], rows: int, like: torch.Tensor) -> float:
    weight = torch.randn(shape, dtype=like.dtype, device=like.device)
    states = torch.randn((rows, shape[1]), dtype=like.dtype, device=like.device)
    return least(lambda: linear(states, weight), like.device)


@torch.inference_mode()
def _attention_rate(
    length: int, rows: int, heads: int, size: int, like: torch.Tensor, causal: bool, kernel: str
) -> float:
    sequences = max(1, rows // length)
    shape = (sequences, length, heads, size)
    states = [torch.randn(shape, dtype=like.dtype, device=like.device) for _ in range(3)]
    query, key, value = (state.transpose(1, 2) for state in states)
    seconds = least(lambda: scaled_dot_product_attention(query, key, value, is_causal=causal), like.device)
    if kernel != "sdpa":
        sequence = TokenSequence(np.zeros(length, np.int32), np.zeros(0, np.int32), length)
        packed = pack(sequences_of([sequence] * sequences), like.device)
        query, key, value = (state.flatten(0, 1) for state in states)
        reach = EARLIER if causal else EVERYTHING
        own = least(lambda: KERNELS[kernel].attend(query, key, value, packed, reach, None), like.device)
        seconds = min(seconds, own)
    return 4 * sequences * length * length * heads * size / (2 if causal else 1) / seconds
