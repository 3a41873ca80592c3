"""Layers on a GPU in fewer kernels, each of which reads and writes memory once.

Norms, rotary positions and activations take few operations a number; what they cost is memory. transformers has a
kernel for each of their steps. liger-kernel (the extra `gpu`) has RMSNorm and SwiGLU in one each, `gpu_kernels` what it
lacks.

Left as they are: a linear layer's bias, which cuBLAS adds as it writes the product, and the exact GELU after it, which
is one kernel in torch already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from transformers.activations import SiLUActivation
from transformers.models.bert.modeling_bert import BertOutput, BertSelfOutput
from transformers.models.qwen2.modeling_qwen2 import Qwen2MLP, Qwen2RMSNorm
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2MLP as Qwen2VLMLP
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLRMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3MLP, Qwen3RMSNorm
from transformers.models.roberta.modeling_roberta import RobertaOutput, RobertaSelfOutput
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaOutput, XLMRobertaSelfOutput

from transforms.base.errors import one_line
from transforms.base.versions import version
from transforms.scoring.weights.cpu_layers import ROTARY, Rotary

AMPERE = (8, 0)  # the first with bfloat16, and what Triton is tested from on
HALF = (torch.bfloat16, torch.float16)


class Fused(torch.nn.Module):
    """Takes the place of a layer, and uses its weights."""

    def __init__(self, plain: Any) -> None:
        super().__init__()
        self.plain = plain


class FusedNorm(Fused):
    """RMSNorm, rounded as transformers rounds it."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., size] to the same shape."""
        from liger_kernel.ops.rms_norm import rms_norm_forward

        # By rows always: by default many short rows are summed in another order than few.
        own = self.plain
        normed: torch.Tensor = rms_norm_forward(states, own.weight, own.variance_epsilon, 0.0, "llama", True)[0]
        return normed


class FusedSwiGLU(Fused):
    """The feed-forward part with SiLU (Shazeer 2020, arXiv 2002.05202)."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., size] to the same shape."""
        from liger_kernel.ops.swiglu import swiglu_forward

        own = self.plain
        projected: torch.Tensor = own.down_proj(swiglu_forward(own.gate_proj(states), own.up_proj(states))[2])
        return projected


class FusedSum(Fused):
    """The end of a part of BERT's layer: a product, the sum with what went into the part, and the sum's LayerNorm."""

    def forward(self, states: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """[..., in] and [..., size] to the latter shape."""
        from transforms.scoring.weights.gpu_kernels import add_layer_norm

        norm = self.plain.LayerNorm
        return add_layer_norm(self.plain.dense(states), residual, norm.weight, norm.bias, norm.eps)


def _rotary(attention: Any) -> torch.nn.Module:
    from transforms.scoring.weights.gpu_kernels import rotated

    return Rotary(attention, rotated)


# transformers' layer -> what takes its place. Of all others, and of subclasses, nothing is known: they stay.
LAYERS: Mapping[type, Callable[[Any], torch.nn.Module]] = {
    **dict.fromkeys((Qwen2RMSNorm, Qwen2VLRMSNorm, Qwen3RMSNorm), FusedNorm),
    **dict.fromkeys((Qwen2MLP, Qwen2VLMLP, Qwen3MLP), FusedSwiGLU),
    **dict.fromkeys((BertSelfOutput, RobertaSelfOutput, XLMRobertaSelfOutput), FusedSum),
    **dict.fromkeys((BertOutput, RobertaOutput, XLMRobertaOutput), FusedSum),
    **dict.fromkeys(ROTARY, _rotary),
}


def usable(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether a model on that device in that number format has these layers."""
    return device.type == "cuda" and dtype in HALF and lack(device) is None


def made_by(device: torch.device, dtype: torch.dtype) -> str:
    """What computes a model's layers on a GPU, with its version; empty on a CPU."""
    if device.type != "cuda":
        return ""
    names = ("liger-kernel", "triton") if usable(device, dtype) else ("transformers",)
    return ", ".join(f"{name} {version(name)}" for name in names)


@cache
def lack(device: torch.device) -> str | None:
    """Why the kernels cannot be used on a CUDA device; None where they can. Tries one, which needs a C compiler."""
    if torch.cuda.get_device_capability(device) < AMPERE:
        return "the GPU is older than Ampere"
    try:
        norm = Qwen3RMSNorm(16).to(device)
        FusedNorm(norm)(torch.ones((1, 1, 16), device=device))
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed"
    except Exception as error:  # Triton has errors of its own, and those of the compiler that it calls
        return f"Triton cannot make kernels here: {one_line(error)}"
    return None


def replace(model: torch.nn.Module) -> None:
    """Put these layers in the places of the model's own that they are known for, see LAYERS."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            make = LAYERS.get(type(child))
            if make is not None and _known(child) and not isinstance(module, ROTARY):
                setattr(module, name, make(child))


def _known(layer: Any) -> bool:
    """Whether what config.json can change in a layer is as these kernels have it."""
    return isinstance(getattr(layer, "act_fn", None), (SiLUActivation, torch.nn.SiLU, type(None)))


def restore(model: torch.nn.Module) -> bool:
    """Put the model's own layers back; returns whether there were others."""
    fused = [
        (module, name, child.attention if isinstance(child, Rotary) else child.plain)
        for module in model.modules()
        for name, child in module.named_children()
        if isinstance(child, (Fused, Rotary))
    ]
    for module, name, own in fused:
        setattr(module, name, own)
    return bool(fused)
