"""What options offer and their defaults, apart from the code that they stand for, which takes seconds to import."""

from __future__ import annotations

import re

from transforms.base.errors import UserError

DTYPES = ("float32", "bfloat16", "float16")
KERNELS = ("flash_attn_3", "flash_attn_2", "torch_varlen", "sdpa")  # of attention, best first
GROUP_SIZE = 64  # documents in a context of a listwise model; its card says so, while the vendor's code has 125
ENDPOINT_BATCH = 100  # documents in a request
ENDPOINT_CONCURRENCY = 8  # requests at once
KEY_VARIABLE = "RERANK_API_KEY"  # of the environment: the key of a rerank API


def is_address(name: str) -> bool:
    """Whether a model's name is an address, of an endpoint if of anything."""
    return re.match("[a-z][a-z0-9+.-]*://", name, re.IGNORECASE) is not None


def check_device(device: str) -> None:
    """Refuse what names no kind of device.

    Raises:
        UserError: it names none.
    """
    if not re.fullmatch("auto|cpu|cuda(:[0-9]+)?", device):
        raise UserError(f"--device {device}: give auto, cpu, cuda or cuda:N")
