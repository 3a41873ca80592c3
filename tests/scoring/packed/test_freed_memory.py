from __future__ import annotations

import subprocess
import sys

import pytest

ROUNDS = """
import resource
import numpy as np
from transforms.scoring.packed import freed_memory
def faults():
    [np.ones(1 << 17) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
{setting}
first = faults()
print([faults() for _ in range(20)][-1] - first)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_arrays_have_the_pages_of_those_before_them() -> None:
    """Eight arrays of 256 pages, twenty times: without the setting most of their pages are given back each time."""

    def new_pages(setting: str) -> int:
        return int(subprocess.check_output([sys.executable, "-c", ROUNDS.format(setting=setting)], text=True))

    assert new_pages("freed_memory.keep()") < 8 * 256
    assert new_pages("") > 20 * 4 * 256
