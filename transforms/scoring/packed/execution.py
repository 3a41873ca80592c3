"""Where and how the arithmetic runs: device, number format, threads, batch size, kernel. Settled once for a job."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from transforms.base.errors import UserError
from transforms.scoring.choices import check_device
from transforms.scoring.packed import devices
from transforms.scoring.packed.attention import choose_kernel
from transforms.scoring.packed.threads import use_threads

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BATCH_TOKENS = {"cpu": 8192, "cuda": 65536}
# On a CPU oneDNN keeps the code of so many products of one shape, instead of 1,024, which in a long job of the smallest
# model grew to 42 MB: enough for the sizes that the passes of a shard have, see `packing.FILLINGS`.
KEPT_BY_ONEDNN = 64


@dataclass(frozen=True)
class Execution:
    """All that decides the rounding of a score, besides model and settings.

    Attributes:
        device: "cpu", "cuda" or "cuda:N".
        dtype: "float32", "bfloat16" or "float16".
        threads: of the CPU.
        batch_tokens: tokens of a forward pass, at most.
        attention: the kernel that computes attention, a name in `attention.KERNELS`; "auto" until it is chosen.
        passed_over: kernels that were skipped and why, a line each; so named in the job.json of every job begun so far.
        fills_heads: whether a model's head computes the rows that fill up a pass too. It did not in the first version,
            whose jobs are continued to the same bytes.
    """

    device: str
    dtype: str
    threads: int
    batch_tokens: int
    attention: str = "auto"
    passed_over: tuple[str, ...] = ()
    fills_heads: bool = True

    def with_kernel(self, head_size: int) -> Execution:
        """The same with the attention kernel chosen, for heads of so many numbers; see `attention.choose_kernel`."""
        choice = choose_kernel(self.attention, self.device, DTYPES[self.dtype], head_size)
        return replace(self, attention=choice.name, passed_over=choice.skipped)

    def begin(self) -> Placement:
        """Sets this process up for it, which of several CUDA devices takes one.

        Returns:
            What a model must know of it to be loaded.
        """
        use_threads(self.threads)
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KEPT_BY_ONEDNN))  # it is read at the first product
        return Placement(torch.device(devices.own(self.device)), DTYPES[self.dtype], self.attention, self.fills_heads)


class Placement(NamedTuple):
    """Where a model is, its number format, the kernel of its attention, and `Execution.fills_heads`."""

    device: torch.device
    dtype: torch.dtype
    attention: str = "sdpa"
    fills_heads: bool = True


def resolve(
    device: str = "auto",
    dtype: str = "auto",
    batch_tokens: int | None = None,
    threads: int | None = None,
    attention: str = "auto",
    remote: bool = False,
    fills_heads: bool = True,
) -> Execution:
    """Settle what is left open by what this machine has, but for the attention kernel, see `Execution.with_kernel`.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: "auto" or a name in DTYPES.
        batch_tokens: tokens of a forward pass, at most; None for the device's default.
        threads: of the CPU; None for torch's own choice.
        attention: "auto" or a name in `attention.KERNELS`.
        remote: it will run on other machines; a CUDA device that is named is taken to be there.
        fills_heads: see `Execution`.

    Raises:
        UserError: the device is not there, or a value is none of those that can be chosen.
    """
    check_device(device)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    if remote and kind == "cuda":
        if "auto" in (dtype, attention):
            raise UserError(f"--device {device} of other machines: give --dtype and --attention too, as fit them")
    elif kind == "cuda" and torch.cuda.device_count() <= int(number or 0):
        raise UserError(f"--device {device}: there are {torch.cuda.device_count()} CUDA devices; use --device cpu")
    if dtype == "auto":
        dtype = "bfloat16" if _multiplies_bfloat16(device) else "float32"
    if dtype not in DTYPES:
        raise UserError(f"--dtype {dtype}: give auto, {', '.join(DTYPES)}")
    for name, value in (("batch_tokens", batch_tokens), ("threads", threads)):
        if value is not None and not (isinstance(value, int) and value > 0):
            raise UserError(f"--{name} {value}: give a positive number")
    return Execution(
        device,
        dtype,
        threads or torch.get_num_threads(),
        batch_tokens or BATCH_TOKENS[kind],
        attention,
        fills_heads=fills_heads,
    )


def _multiplies_bfloat16(device: str) -> bool:
    """Whether bfloat16 products are native, and so faster than float32."""
    if device != "cpu":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
