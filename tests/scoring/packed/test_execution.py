from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch

from transforms.base.errors import UserError
from transforms.scoring.packed.execution import Execution, Placement, resolve

PRODUCTS = """
import torch
from transforms.scoring.packed.execution import resolve

resolve("cpu", "float32").begin()
weight = torch.ones(8, 8)
for rows in (1, *range(1, 66), 65, 1):
    torch.ops.mkldnn._linear_pointwise(torch.ones(rows, 8), weight, None, "none", [], "")
"""


def capabilities(**known: bool) -> dict[str, bool]:
    return {"amx_bf16": False, "avx512_bf16": False, "avx512_f": True} | known


@pytest.fixture(autouse=True)
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


def test_what_is_asked_for_is_kept() -> None:
    assert resolve("cpu", "float16", 100, 3) == Execution("cpu", "float16", 3, 100)


@pytest.mark.parametrize(
    ("known", "dtype"),
    [
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({}, "float32"),
    ],
)
def test_auto_on_a_cpu_is_bfloat16_where_it_multiplies_that(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, bool], dtype: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities(**known))
    assert resolve(threads=2) == Execution("cpu", dtype, 2, 8192)


def test_threads_are_those_of_torch() -> None:
    assert resolve("cpu", "float32").threads == torch.get_num_threads()


def test_begin_sets_up_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7")
    assert Execution("cpu", "bfloat16", 3, 100, "sdpa").begin() == Placement(
        torch.device("cpu"), torch.bfloat16, "sdpa"
    )
    assert threads == [3]
    assert os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] == "7"


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")
def test_onednn_keeps_the_code_of_64_sizes() -> None:
    environment = os.environ | {"ONEDNN_VERBOSE": "2"}
    environment.pop("ONEDNN_PRIMITIVE_CACHE_CAPACITY", None)
    done = subprocess.run([sys.executable, "-c", PRODUCTS], capture_output=True, text=True, check=True, env=environment)
    creations = [line.split(",")[3] for line in done.stdout.splitlines() if ",create:" in line]
    # 1 again at once, 65 sizes; then 65, which is kept, and 1, which 65 has pushed out.
    assert creations == [
        "create:cache_miss",
        "create:cache_hit",
        *["create:cache_miss"] * 64,
        "create:cache_hit",
        "create:cache_miss",
    ]


@pytest.mark.parametrize(
    ("device", "capability", "dtype"),
    [("auto", (8, 0), "bfloat16"), ("cuda:1", (9, 0), "bfloat16"), ("cuda:0", (7, 5), "float32")],
)
def test_auto_on_cuda_goes_by_the_device_that_is_used(
    monkeypatch: pytest.MonkeyPatch, device: str, capability: tuple[int, int], dtype: str
) -> None:
    name = "cuda" if device == "auto" else device
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", {name: capability}.__getitem__)
    assert resolve(device, threads=1) == Execution(name, dtype, 1, 65536)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "gpu"}, "--device gpu: give auto, cpu, cuda or cuda:N"),
        ({"device": "cpu:0"}, "--device cpu:0: give auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:"}, "--device cuda:: give auto, cpu, cuda or cuda:N"),
        ({"device": "cuda:x"}, "--device cuda:x: give auto, cpu, cuda or cuda:N"),
        ({"device": ""}, "--device : give auto, cpu, cuda or cuda:N"),
        ({"device": "cuda"}, "--device cuda: there are 0 CUDA devices; use --device cpu"),
        ({"device": "cuda:7"}, "--device cuda:7: there are 0 CUDA devices; use --device cpu"),
        ({"dtype": "fp16"}, "--dtype fp16: give auto, float32, bfloat16, float16"),
        ({"batch_tokens": 0}, "--batch_tokens 0: give a positive number"),
        ({"batch_tokens": -1}, "--batch_tokens -1: give a positive number"),
        ({"batch_tokens": math.nan}, "--batch_tokens nan: give a positive number"),
        ({"batch_tokens": math.inf}, "--batch_tokens inf: give a positive number"),
        ({"threads": 0}, "--threads 0: give a positive number"),
    ],
)
def test_errors(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as refused:
        resolve(**arguments)  # type: ignore[arg-type]
    assert str(refused.value) == message


def test_hardware_that_is_not_here_is_taken_as_named() -> None:
    named = resolve("cuda", "bfloat16", attention="flash_attn_3", remote=True)
    assert (named.device, named.dtype, named.attention, named.batch_tokens) == (
        "cuda",
        "bfloat16",
        "flash_attn_3",
        65536,
    )
    with pytest.raises(
        UserError, match="--device cuda of other machines: give --dtype and --attention too, as fit them"
    ):
        resolve("cuda", "bfloat16", remote=True)
