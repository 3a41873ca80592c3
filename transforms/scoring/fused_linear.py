"""Linear layers in bfloat16 on a CPU, with their bias and a GELU applied in the product's own pass over its output.

torch's addmm first copies the bias into all of the output and then adds the product to it, which takes a fifth to a
third of its time; a GELU after it reads and writes the output once more. oneDNN does both as it writes the product. The
operations are those to which torch.compile lowers such layers on a CPU, here without a compiler at run time.
"""

from __future__ import annotations

import torch
from transformers.activations import GELUActivation

# Where transformers' encoders have a linear layer and the activation of its output.
ACTIVATED = (("dense", "intermediate_act_fn"), ("fc1", "activation_fn"))
NONE = ("none", "")
EXACT_GELU = ("gelu", "none")  # the one with erf, not an approximation of it


class FusedLinear(torch.nn.Linear):
    """Takes the place of a linear layer with a bias, and of the activation after it."""

    def __init__(self, linear: torch.nn.Linear, activation: tuple[str, str] = NONE) -> None:
        """Take the layer's weights; the activation and its kind by oneDNN's names."""
        torch.nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.activation, self.kind = activation

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., in] to [..., out]."""
        output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            states, self.weight, self.bias, self.activation, [], self.kind
        )
        return output


def usable(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this machine has these operations for a model on that device in that number format."""
    return (
        device.type == "cpu"
        and dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


def fuse(model: torch.nn.Module) -> None:
    """Replace the model's linear layers that have a bias, and exact GELUs that follow one, by fused ones."""
    for module in list(model.modules()):
        for name, activation in ACTIVATED:
            linear = getattr(module, name, None)
            after = getattr(module, activation, None)
            if isinstance(linear, torch.nn.Linear) and linear.bias is not None and _is_exact_gelu(after):
                setattr(module, name, FusedLinear(linear, EXACT_GELU))
                setattr(module, activation, torch.nn.Identity())
        for name, child in module.named_children():
            if type(child) is torch.nn.Linear and child.bias is not None:
                setattr(module, name, FusedLinear(child))


def _is_exact_gelu(activation: object) -> bool:
    return isinstance(activation, GELUActivation) and activation.act is torch.nn.functional.gelu
