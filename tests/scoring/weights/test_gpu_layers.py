"""Fused layers: on a GPU where there is one, else through Triton's interpreter, against float32 in torch."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    ModernBertConfig,
    ModernBertModel,
    Qwen2Config,
    Qwen2Model,
    Qwen3Config,
    Qwen3Model,
    XLMRobertaConfig,
    XLMRobertaModel,
)
from transformers.models.bert.modeling_bert import BertSelfOutput
from transformers.models.qwen3.modeling_qwen3 import Qwen3MLP, Qwen3RMSNorm

from transforms.scoring import RankingTask, Reranker
from transforms.scoring.weights import cpu_layers
from transforms.scoring.weights.gpu_layers import Fused, FusedNorm, FusedSum, FusedSwiGLU, replace, restore, usable

for package in ("triton", "liger_kernel"):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DTYPE = torch.float16 if INTERPRETED else torch.bfloat16
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips what needs kernels where there is neither a GPU nor the interpreter, which is chosen as Triton is imported.

    The interpreter of Triton 3.7 leaves a float as Python has it, where the compiler makes a float32 of it, and has no
    functions of CUDA's own library. It cuts bfloat16 off instead of rounding, and multiplies two such numbers wrongly:
    so layers are compared in float16.
    """
    if DEVICE.type == "cuda":
        return
    if not INTERPRETED:
        pytest.skip("the interpreter runs it in a process of its own")
    import triton.language as tl
    from triton.runtime import interpreter

    convert = interpreter._implicit_cvt

    def converted(value: Any) -> Any:
        if not isinstance(value, float):
            return convert(value)
        return tl.tensor(interpreter.TensorHandle(np.array([value], dtype=np.float32), tl.float32), tl.float32)

    monkeypatch.setattr(interpreter, "_implicit_cvt", converted)
    monkeypatch.setattr("liger_kernel.ops.rms_norm.rsqrt", lambda value: tl.rsqrt(value))


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, device=DEVICE).to(DTYPE)


def half(layer: Any) -> Any:
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer.to(DEVICE, DTYPE).eval()


def assert_no_worse(fused: torch.Tensor, plain: torch.Tensor, exact: torch.Tensor) -> None:
    """The mean distance from what float32 gives is no more than that of the plain layers, which round more often."""
    assert (fused.dtype, fused.shape) == (plain.dtype, plain.shape) == (DTYPE, exact.shape)
    assert (fused.float() - exact).abs().mean() <= 1.02 * (plain.float() - exact).abs().mean()


SIZES: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 40,
    "vocab_size": 30,
}
LAYERS: dict[str, Any] = {
    "RMSNorm": (FusedNorm, lambda: Qwen3RMSNorm(24, eps=0.5), 1),
    "SwiGLU": (FusedSwiGLU, lambda: Qwen3MLP(Qwen3Config(**SIZES)), 1),
    "sum and LayerNorm": (FusedSum, lambda: BertSelfOutput(BertConfig(**SIZES, layer_norm_eps=0.5)), 2),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_fused_layer_is_no_further_from_float32(name: str) -> None:
    make, layer, inputs = LAYERS[name]
    torch.manual_seed(0)
    plain = half(layer())
    states = [random(1, 7, 24) for _ in range(inputs)]
    with torch.inference_mode():
        fused, expected = make(plain)(*states), plain(*states)
        exact = plain.float()(*(state.float() for state in states))
    assert_no_worse(fused, expected, exact)


@pytest.mark.parametrize("name", ["RMSNorm", "sum and LayerNorm"])  # the rest of SwiGLU is by number, and torch's
def test_a_token_has_the_same_bits_alone(name: str) -> None:
    make, layer, inputs = LAYERS[name]
    torch.manual_seed(0)
    fused = make(half(layer()))
    if name == "sum and LayerNorm":
        fused.plain.dense = torch.nn.Identity()
    states = [random(1, 7, 24) for _ in range(inputs)]
    with torch.inference_mode():
        together, alone = fused(*states), fused(*(state[:, 3:4] for state in states))
    assert torch.equal(together[:, 3:4], alone)


@pytest.mark.parametrize("with_norm", [False, True])
@pytest.mark.parametrize(("heads", "size"), [(1, 2), (3, 10), (14, 64), (16, 128)])
def test_rotated_heads(heads: int, size: int, with_norm: bool) -> None:
    from transforms.scoring.weights.gpu_kernels import rotated

    torch.manual_seed(0)
    norm: Any = half(Qwen3RMSNorm(size, eps=0.5)) if with_norm else None
    states = random(1, 5, 3, heads, size)[:, :, 1]  # of three that were made together, as ModernBERT's are
    angles = torch.randn((1, 5, size // 2), device=DEVICE).repeat(1, 1, 2)
    cosine, sine = angles.cos().to(DTYPE), angles.sin().to(DTYPE)
    with torch.inference_mode():
        fused = rotated(states, norm, cosine, sine)
        plain = cpu_layers.rotated(states, norm, cosine, sine)
        exact = cpu_layers.rotated(states.float(), norm and norm.float(), cosine.float(), sine.float())
    assert_no_worse(fused, plain, exact)
    assert torch.equal(rotated(states[:, 2:3], norm and norm.to(DTYPE), cosine[:, 2:3], sine[:, 2:3]), fused[:, 2:3])


MODELS: dict[str, Any] = {
    "bert": lambda: BertModel(BertConfig(**SIZES), add_pooling_layer=False),
    "xlm-roberta": lambda: XLMRobertaModel(XLMRobertaConfig(**SIZES), add_pooling_layer=False),
    "modernbert": lambda: ModernBertModel(ModernBertConfig(**SIZES, pad_token_id=0)),
    "qwen2": lambda: Qwen2Model(Qwen2Config(**SIZES, num_key_value_heads=1)),
    "qwen3": lambda: Qwen3Model(Qwen3Config(**SIZES, num_key_value_heads=1, head_dim=6)),
}


@pytest.mark.parametrize("name", MODELS)
def test_whole_models_are_as_near_to_float32_and_can_be_restored(name: str) -> None:
    torch.manual_seed(0)
    model = MODELS[name]().to(DEVICE).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    ids = torch.arange(2, 30, device=DEVICE)[None]
    with torch.inference_mode():
        exact = model(input_ids=ids).last_hidden_state
        plain = model.to(DTYPE)(input_ids=ids).last_hidden_state
        replace(model)
        fused = model(input_ids=ids).last_hidden_state
        assert restore(model)
        assert torch.equal(model(input_ids=ids).last_hidden_state, plain)
        assert not restore(model)
    assert (plain - exact).abs().max() < 0.02 * exact.abs().max()
    assert (fused - exact).abs().max() < 1.5 * (plain - exact).abs().max()


@pytest.mark.parametrize(
    ("name", "fused"),
    [
        ("bert", {"attention.output": "FusedSum", "output": "FusedSum"}),
        ("modernbert", {"attn": "Rotary"}),
        (
            "qwen3",
            {
                "self_attn": "Rotary",
                "mlp": "FusedSwiGLU",
                "input_layernorm": "FusedNorm",
                "post_attention_layernorm": "FusedNorm",
            },
        ),
    ],
)
def test_which_layers(name: str, fused: dict[str, str]) -> None:
    model: Any = MODELS[name]()
    replace(model)
    assert {
        path.partition("1.")[2]: type(module).__name__
        for path, module in model.named_modules()
        if isinstance(module, (Fused, cpu_layers.Rotary)) and "1." in path
    } == fused


def test_scores_of_packed_texts_with_a_last_layer_at_the_reads() -> None:
    model = "small-cross-encoder"
    tasks = [RankingTask("which words", ["words", "a few more words here", "none"]), RankingTask("others", ["a"])]
    exact = Reranker.load(model, device="cpu", dtype="float32").score_tasks(tasks).score
    reranker: Any = Reranker.load(model, device=DEVICE.type, dtype=str(DTYPE).partition(".")[2])
    restore(reranker.family.backbone.model)
    plain = reranker.score_tasks(tasks).score
    replace(reranker.family.backbone.model)
    fused = reranker.score_tasks(tasks).score
    assert restore(reranker.family.backbone.model)
    scale = np.abs(exact).max()
    assert np.abs(plain - exact).max() < 0.02 * scale
    assert np.abs(fused - exact).max() < 0.02 * scale


class GemmasNorm(Qwen3RMSNorm):
    """One whose weights are added to 1."""


def test_what_is_not_known_stays() -> None:
    other: Any = Qwen3Model(Qwen3Config(**SIZES, num_key_value_heads=1, head_dim=6, hidden_act="gelu"))
    other.norm = GemmasNorm(24)
    replace(other)
    assert type(other.norm) is GemmasNorm
    assert type(other.layers[0].mlp) is Qwen3MLP


def test_usable_in_half_precision_on_a_gpu_alone() -> None:
    assert not usable(CPU, torch.bfloat16)
    assert not usable(torch.device("cuda"), torch.float32)
