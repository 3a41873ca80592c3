"""Layers in bfloat16 on a CPU without what costs most beside the products: passes over memory.

torch's addmm first copies the bias into all of the output and then adds the product to it, which takes a fifth to a
third of its time; an activation after it reads and writes the output once more. oneDNN does both as it writes the
product. The operations are those to which torch.compile lowers such layers on a CPU, here without a compiler at run
time.

transformers' RMSNorm goes over its input six times, in float32. In slices that stay in the processor's cache the same
arithmetic takes half of the time or less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from transformers.activations import GELUActivation, SiLUActivation

# Where transformers' models have a linear layer and the activation of its output.
ACTIVATED = (("dense", "intermediate_act_fn"), ("fc1", "activation_fn"), ("gate_proj", "act_fn"))
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
        tokens = max(1, SLICE_NUMBERS // states[0, 0].numel()) if len(states[0]) else 1
        output = torch.empty_like(states)
        for part, place in zip(states.split(tokens, dim=1), output.split(tokens, dim=1), strict=True):
            place.copy_(self.norm(part))
        return output


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
    can be fused, and RMSNorms."""
    for module in list(model.modules()):
        for name, after in ACTIVATED:
            linear, activation = getattr(module, name, None), _fusable(getattr(module, after, None))
            if isinstance(linear, torch.nn.Linear) and activation is not None:
                setattr(module, name, FusedLinear(linear, activation))
                setattr(module, after, torch.nn.Identity())
        for name, child in module.named_children():
            if type(child) is torch.nn.Linear and child.bias is not None:
                setattr(module, name, FusedLinear(child))
            elif type(child).__name__.endswith("RMSNorm"):
                setattr(module, name, SlicedNorm(child))


def _fusable(activation: object) -> Fusable | None:
    if isinstance(activation, GELUActivation) and activation.act is not torch.nn.functional.gelu:
        return None  # GELU written out in Python, of which there are several
    return ACTIVATIONS.get(type(activation))
