#!/usr/bin/env bash
# What: sliding_window 3 lets a token of a causal Qwen3 see 2 earlier ones, and 3 on each side where is_causal is false.
# Version: transformers 5.23.0 with torch 2.13.0.
# Why it surprises: the same number of the same configuration is exclusive in one mask and inclusive in the other.
# Who it touches: whoever runs such a model through kernels of their own, which need the two bounds.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check transformers==5.23.0 torch==2.13.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import sys

import torch
import transformers
from transformers import Qwen3Config, Qwen3Model


def reach(is_causal: bool) -> list[int]:
    """How far from its own place the tokens lie that change the hidden state of the middle one."""
    config = Qwen3Config(
        vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, head_dim=8,
        intermediate_size=16, layer_types=["sliding_attention"], use_sliding_window=True, sliding_window=3,
        is_causal=is_causal, attn_implementation="eager",
    )
    torch.manual_seed(0)
    model = Qwen3Model(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    ids = torch.arange(12)[None]
    with torch.no_grad():
        before = model(ids).last_hidden_state[0, 6]
        changed = []
        for place in range(12):
            other = ids.clone()
            other[0, place] = 19
            if (model(other).last_hidden_state[0, 6] - before).abs().max() > 1e-6:
                changed.append(place - 6)
    return changed


causal, both = reach(True), reach(False)
print("transformers", transformers.__version__, "torch", torch.__version__)
print("sliding_window 3, causal: sees", causal)
print("sliding_window 3, both ways: expected [-2, -1, 0, 1, 2], sees", both)
sys.exit(0 if causal == [-2, -1, 0] and both == [-3, -2, -1, 0, 1, 2, 3] else 1)
PY
