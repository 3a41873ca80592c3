from __future__ import annotations

from typing import Any

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
)
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from transforms.scoring.weights.cpu_layers import (
    EXACT_GELU,
    Fusable,
    FusedLinear,
    Rotary,
    SlicedNorm,
    replace,
    rotated,
    usable,
)

CPU = torch.device("cpu")
needs_bfloat16 = pytest.mark.skipif(
    not usable(CPU, torch.bfloat16), reason="this CPU has no bfloat16 in oneDNN, so these layers are never used on it"
)


@needs_bfloat16
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_bias_and_gelu(rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    linear = torch.nn.Linear(64, 48).to(torch.bfloat16)
    states = torch.randn((1, rows, 64), generator=generator).to(torch.bfloat16)
    exact = torch.nn.functional.linear(states.double(), linear.weight.double(), linear.bias.double())
    with torch.inference_mode():
        plain, gelu = FusedLinear(linear)(states), FusedLinear(linear, EXACT_GELU)(states)
        swish = FusedLinear(linear, Fusable("swish"))(states)
    assert plain.dtype == gelu.dtype == torch.bfloat16
    # One rounding to bfloat16, which keeps eight bits, and nothing else.
    assert ((plain - exact).abs() <= exact.abs() * 2**-8 + 1e-5).all()
    activated = torch.nn.functional.gelu(exact)
    assert ((gelu - activated).abs() <= activated.abs() * 2**-8 + 1e-5).all()
    activated = torch.nn.functional.silu(exact)
    assert ((swish - activated).abs() <= activated.abs() * 2**-8 + 1e-5).all()


def test_usable_in_bfloat16_on_a_cpu_alone() -> None:
    assert not usable(CPU, torch.float32)
    assert not usable(torch.device("cuda"), torch.bfloat16)


SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 30,
}

MODERN: dict[str, Any] = {"pad_token_id": 0, "attention_bias": True, "mlp_bias": True}


def fused_layers(model: torch.nn.Module) -> list[tuple[str, str]]:
    """Name and activation of each fused layer of the second layer of the model."""
    return [
        (name.partition("1.")[2], module.activation.name)
        for name, module in model.named_modules()
        if isinstance(module, FusedLinear) and "1." in name
    ]


def test_which_layers() -> None:
    bert = BertModel(BertConfig(**SIZES, hidden_act="gelu"), add_pooling_layer=False)
    replace(bert)
    projections = [(f"attention.self.{name}", "none") for name in ("query", "key", "value")]
    assert fused_layers(bert) == [
        *projections,
        ("attention.output.dense", "none"),
        ("intermediate.dense", "gelu"),
        ("output.dense", "none"),
    ]


def test_another_activation_stays() -> None:
    bert: Any = BertModel(BertConfig(**SIZES, hidden_act="gelu_new"), add_pooling_layer=False)
    replace(bert)
    assert ("intermediate.dense", "none") in fused_layers(bert)
    assert not isinstance(bert.encoder.layer[1].intermediate.intermediate_act_fn, torch.nn.Identity)


def test_layers_without_bias_or_activation_stay() -> None:
    qwen: Any = Qwen2Model(Qwen2Config(**SIZES, num_key_value_heads=2))
    replace(qwen)
    projections = [(f"self_attn.attention.{name}_proj", "none") for name in "qkv"]
    assert fused_layers(qwen) == [*projections, ("mlp.gate_proj", "swish")]
    assert isinstance(qwen.layers[1].mlp.act_fn, torch.nn.Identity)
    assert isinstance(qwen.norm, SlicedNorm)
    assert isinstance(qwen.layers[1].self_attn, Rotary)


def test_modernbert_has_its_positions_in_slices() -> None:
    model: Any = ModernBertModel(ModernBertConfig(**SIZES, **MODERN))
    replace(model)
    assert fused_layers(model) == [
        ("attn.attention.Wqkv", "none"),
        ("attn.attention.Wo", "none"),
        ("mlp.Wi", "none"),
        ("mlp.Wo", "none"),
    ]
    assert isinstance(model.layers[1].attn, Rotary)


def test_norms_of_heads_are_sliced_once() -> None:
    qwen: Any = Qwen3Model(Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=8))
    replace(qwen)
    assert isinstance(qwen.layers[1].input_layernorm, SlicedNorm)
    assert isinstance(qwen.layers[1].self_attn.attention.q_norm, Qwen3RMSNorm)


@pytest.mark.parametrize(
    ("tokens", "heads", "size"),
    [(1, 1, 2), (700, 16, 128), (0, 2, 8)],  # the second in six slices, the last shorter
)
@pytest.mark.parametrize("with_norm", [False, True])
def test_rotated_heads_are_complex_numbers_turned_by_the_angles(
    tokens: int, heads: int, size: int, with_norm: bool
) -> None:
    torch.manual_seed(0)
    norm = Qwen3RMSNorm(size) if with_norm else None
    states, angles = torch.randn((1, tokens, heads, size)), torch.randn((1, tokens, size // 2))
    both = torch.cat((angles, angles), dim=-1)
    real, imaginary = (states if norm is None else norm(states)).double().chunk(2, dim=-1)
    turned = torch.complex(real, imaginary) * torch.exp(1j * angles.double())[:, :, None]
    with torch.inference_mode():
        result = rotated(states, norm, both.cos(), both.sin())
    torch.testing.assert_close(result.double(), torch.cat((turned.real, turned.imag), dim=-1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 1024), (1, 700, 1024), (1, 300, 16, 128), (1, 0, 1024)])
def test_sliced_norm_gives_the_same_numbers(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    norm = Qwen2RMSNorm(shape[-1]).to(torch.bfloat16)
    torch.nn.init.normal_(norm.weight)
    states = torch.randn(shape).to(torch.bfloat16)
    with torch.inference_mode():
        assert torch.equal(SlicedNorm(norm)(states), norm(states))


@needs_bfloat16
@pytest.mark.parametrize(
    "model",
    [
        BertModel(BertConfig(**SIZES), add_pooling_layer=False),
        ModernBertModel(ModernBertConfig(**SIZES, **MODERN)),
        Qwen2Model(Qwen2Config(**SIZES, num_key_value_heads=2)),
        Qwen3Model(Qwen3Config(**SIZES, num_key_value_heads=2, head_dim=8, attention_bias=True)),
    ],
    ids=["bert", "modernbert", "qwen2", "qwen3 with biases"],
)
def test_same_hidden_states(model: torch.nn.Module) -> None:
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    ids = torch.arange(30)[None]
    with torch.inference_mode():
        exact = model.eval()(input_ids=ids).last_hidden_state
        plain = model.to(torch.bfloat16)(input_ids=ids).last_hidden_state
        replace(model)
        replaced = model(input_ids=ids).last_hidden_state
    scale = exact.abs().max()
    assert (plain - exact).abs().max() < 0.02 * scale
    assert (replaced - exact).abs().max() < 0.02 * scale
