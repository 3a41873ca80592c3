"""scripts/measure/gpu.py: the program that chooses a batch size twenty times."""

from __future__ import annotations

import pytest

from scripts.measure.gpu import CHOICES


def test_the_batch_size_is_chosen_twenty_times(capsys: pytest.CaptureFixture[str]) -> None:
    """On a CPU, where it is always the same."""
    exec(CHOICES.replace("cuda", "cpu"), {})
    assert capsys.readouterr().out == f"{[8192] * 20}\n"
