from __future__ import annotations

import gc
from pathlib import Path

import pytest

from tests.support import tiny
from transforms.base.collector import at_rest
from transforms.scoring.reranker import specify


def test_nothing_is_collected_inside_and_all_is_as_before_afterwards() -> None:
    with at_rest():
        assert not gc.isenabled()
        with at_rest():
            pass
        assert not gc.isenabled()  # the inner one leaves what it met
    assert gc.isenabled()


def test_an_error_inside_leaves_the_collector_on() -> None:
    with pytest.raises(ValueError, match="in between"), at_rest():
        raise ValueError("in between")
    assert gc.isenabled()


def test_nothing_is_collected_while_a_model_is_loaded(tmp_path: Path) -> None:
    specification = specify(str(tiny.bert(tmp_path)), device="cpu")
    collections: list[int] = []

    def note(phase: str, details: dict[str, int]) -> None:
        if phase == "stop":
            collections.append(details["generation"])

    gc.callbacks.append(note)
    try:
        specification.load()
    finally:
        gc.callbacks.remove(note)
    assert len(collections) <= 1  # the one that is due once it is loaded
