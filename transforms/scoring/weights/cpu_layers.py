"""Layers in bfloat16 on a CPU without what costs most beside the products: passes over memory.

torch's addmm first copies the bias into all of the output and then adds the product to it, which takes a fifth to a
third of its time; an activation after it reads and writes the output once more. oneDNN does both as it writes the
product. The operations are those to which torch.compile lowers such layers on a CPU, here without a compiler at run
time.

transformers' RMSNorm goes over its input six times, in float32, and its rotary positions over queries and keys ten
times. In slices that stay in the processor's cache the same arithmetic takes half of the time or less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from transformers.activations import GELUActivation, SiLUActivation
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.modernbert.modeling_modernbert import ModernBertAttention
from transformers.models.qwen2.modeling_qwen2 import Qwen2Attention
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention

# Where transformers' models have a linear layer and the activation of its output.
ACTIVATED = (("dense", "intermediate_act_fn"), ("fc1", "activation_fn"), ("gate_proj", "act_fn"))
# transformers' attention with rotary positions, after a norm of each head (Qwen3) or without.
ROTARY = (ModernBertAttention, Qwen2Attention, Qwen3Attention)
Rotate = Callable[[torch.Tensor, torch.nn.Module | None, torch.Tensor, torch.Tensor], torch.Tensor]
SLICE_NUMBERS = 1 << 18  # a megabyte in float32


class Fusable(NamedTuple):
    """An activation by oneDNN's names: what it is, and of what kind."""

    name: str
    kind: str = ""


NONE = Fusable("none")
EXACT_GELU = Fusable("gelu", "none")  # the one with erf, not an approximation of it
ACTIVATIONS: Mapping[type, Fusable] = {
    SiLUActivation: Fusable("swish"),
    torch.nn.SiLU: Fusable("swish"),
    GELUActivation: EXACT_GELU,
}


class FusedLinear(torch.nn.Linear):
    """Takes the place of a linear layer and of the activation after it."""

    def __init__(self, linear: torch.nn.Linear, activation: Fusable = NONE) -> None:
        """Take the layer's weights."""
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.activation = activation

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., in] to [..., out]."""
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            states, self.weight, self.bias, self.activation.name, [], self.activation.kind
        )
        return output


class SlicedNorm(torch.nn.Module):
    """Takes the place of a norm of each token's states, and gives the same numbers."""

    def __init__(self, norm: torch.nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[1, T, ...] to the same shape."""
        output = torch.empty_like(states)
        for part, place in _slices(states, output):
            place.copy_(self.norm(part))
        return output


class Rotary(torch.nn.Module):
    """Takes the place of an attention layer with rotary positions, of which it uses all parts."""

    def __init__(self, attention: Any, rotate: Rotate) -> None:
        """Take the layer's parts.

        Args:
            attention: one of ROTARY.
            rotate: what puts the positions into heads, as `rotated` does.
        """
        super().__init__()
        self.attention, self.rotate = attention, rotate

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor | None = None,
        **further: Any,
    ) -> tuple[torch.Tensor, None]:
        """As transformers' own, [1, T, hidden size] to the same shape, but for the attention weights."""
        own = self.attention
        if isinstance(own, ModernBertAttention):
            query, key, value = own.Wqkv(hidden_states).unflatten(-1, (3, -1, own.head_dim)).unbind(-3)
            scaling, project = own.head_dim**-0.5, own.Wo
        else:
            query, key, value = (
                project(hidden_states).unflatten(-1, (-1, own.head_dim))
                for project in (own.q_proj, own.k_proj, own.v_proj)
            )
            scaling, project = own.scaling, own.o_proj
        query = self.rotate(query, getattr(own, "q_norm", None), *position_embeddings)
        key = self.rotate(key, getattr(own, "k_norm", None), *position_embeddings)
        attend = ALL_ATTENTION_FUNCTIONS[own.config._attn_implementation]
        states = (state.transpose(1, 2) for state in (query, key, value))
        attended, _weights = attend(
            own, *states, attention_mask, scaling=scaling, sliding_window=own.sliding_window, **further
        )
        return project(attended.flatten(2)), None


def rotated(
    states: torch.Tensor, norm: torch.nn.Module | None, cosine: torch.Tensor, sine: torch.Tensor
) -> torch.Tensor:
    """Heads with their positions in them (Su et al. 2021, arXiv 2104.09864, in the form of transformers' Qwen2).

    Args:
        states: shape [1, T, heads, head size].
        norm: of each head before; None for none.
        cosine: of the angles, shape [1, T, head size], the second half like the first.
        sine: likewise.

    Returns:
        The shape of `states`.
    """
    output = torch.empty_like(states)
    half = states.shape[-1] // 2
    cosine, sine = cosine[:, :, None], sine[:, :, None, :half]
    for part, place, by_cosine, by_sine in _slices(states, output, cosine, sine):
        head = part if norm is None else norm(part)
        torch.mul(head, by_cosine, out=place)
        place[..., :half].addcmul_(head[..., half:], by_sine, value=-1)
        place[..., half:].addcmul_(head[..., :half], by_sine)
    return output


def _slices(states: torch.Tensor, *others: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Runs of tokens of [1, T, ...] that stay in the processor's cache, with those of others as long."""
    tokens = max(1, SLICE_NUMBERS // max(1, states[0, :1].numel()))
    return zip(*(tensor.split(tokens, dim=1) for tensor in (states, *others)), strict=True)


def usable(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this machine has these operations for a model on that device in that number format."""
    return (
        device.type == "cpu"
        and dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


def replace(model: torch.nn.Module) -> None:
    """Put these layers in the places of the model's own where they pay: linear ones with a bias or an activation that
    can be fused, RMSNorms, and attention with rotary positions."""
    for module in list(model.modules()):
        for name, after in ACTIVATED:
            linear, activation = getattr(module, name, None), _fusable(getattr(module, after, None))
            if isinstance(linear, torch.nn.Linear) and activation is not None:
                setattr(module, name, FusedLinear(linear, activation))
                setattr(module, after, torch.nn.Identity())
        for name, child in module.named_children():
            if type(child) is torch.nn.Linear and child.bias is not None:
                setattr(module, name, FusedLinear(child))
            elif isinstance(child, ROTARY):
                setattr(module, name, Rotary(child, rotated))
            elif type(child).__name__.endswith("RMSNorm") and not isinstance(module, ROTARY):
                setattr(module, name, SlicedNorm(child))


def _fusable(activation: object) -> Fusable | None:
    if isinstance(activation, GELUActivation) and activation.act is not torch.nn.functional.gelu:
        return None  # GELU written out in Python, of which there are several
    return ACTIVATIONS.get(type(activation))
