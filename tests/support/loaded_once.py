"""Transformers' models for tests that load the same weights many times: read once, then copied."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from transformers import PreTrainedModel
from transformers.initialization import no_init_weights

from transforms.scoring.weights.checkpoints import quiet


@contextmanager
def loaded_once() -> Iterator[None]:
    """What was loaded before from the same files, with the same configuration and arguments, is copied.

    The weights must not change meanwhile. No time goes into random values in their places.
    """
    load: Any = PreTrainedModel.__dict__["from_pretrained"].__func__
    kept: dict[tuple[object, ...], Any] = {}

    def from_pretrained(cls: Any, path: str | Path | None, *args: Any, **kwargs: Any) -> Any:
        said = [file.read_bytes() for file in sorted(Path(path).glob("*config*.json"))] if path is not None else []
        given = {name: value for name, value in kwargs.items() if name != "state_dict"}
        key = (cls, str(path), *said, repr(args), repr(given), *sorted(kwargs.get("state_dict") or ()))
        if key not in kept:
            kept[key] = load(cls, path, *args, **kwargs)
        return copy.deepcopy(kept[key])

    with patch.object(PreTrainedModel, "from_pretrained", classmethod(from_pretrained)), no_init_weights(), quiet():
        yield
