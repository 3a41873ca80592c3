"""Where there is no GPU: fused layers' tests through Triton's interpreter, and its compiler for other machines."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

needs_triton = pytest.mark.skipif(
    not (find_spec("triton") and find_spec("liger_kernel")), reason="triton and liger_kernel are not installed"
)
LAYERS = Path(__file__).with_name("test_gpu_layers.py")
COMPILE = """
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from transforms.scoring.weights import gpu_kernels

NUMBERS = dict.fromkeys(("token_stride", "head_stride", "cosine_stride", "sine_stride"), "i32") | {"epsilon": "fp32"}


def compiled(kernel, **constants):
    types = {name: "constexpr" if name in constants else NUMBERS.get(name, "*bf16") for name in kernel.arg_names}
    places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    for capability in (80, 90):
        made = compile(ASTSource(kernel, types, places), target=GPUTarget("cuda", capability, 32))
        print("entry" in made.asm["ptx"])


compiled(gpu_kernels._add_layer_norm, SIZE=768, PADDED=1024)
for norm in (False, True):
    compiled(gpu_kernels._rotated, HEADS=14, HALF=32, HEADS_PADDED=16, HALF_PADDED=32, NORM=norm)
"""


def without_choice() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}


@needs_triton
@pytest.mark.skipif(torch.cuda.is_available(), reason="they run on the GPU")
def test_fused_layers_through_the_interpreter() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(LAYERS)]
    environment = without_choice() | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@needs_triton
def test_kernels_compile_for_gpus_that_are_not_here() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMPILE], env=without_choice(), capture_output=True, text=True, check=False
    )
    assert (done.stderr, done.stdout.split()) == ("", ["True"] * 6)
