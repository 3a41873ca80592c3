"""Transformers' models for tests that load the same files many times: each is made once, then copied."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from transformers import PreTrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights

from transforms.scoring.weights.checkpoints import quiet


@contextmanager
def loaded_once() -> Iterator[None]:
    """What was loaded before from the same files, with the same configuration and arguments, is not loaded again.

    The weights must not change meanwhile, nor what is loaded from a path; a model of tensors given is a copy. No time
    goes into random values in the weights' places, nor into comparing each configuration with its class's own for a log
    that is not shown.
    """
    load: Any = PreTrainedModel.__dict__["from_pretrained"].__func__
    describe: Any = PreTrainedConfig.__dict__["from_dict"].__func__
    models: dict[tuple[object, ...], Any] = {}
    configurations: dict[tuple[object, ...], Any] = {}

    def from_pretrained(cls: Any, path: str | Path | None, *args: Any, **kwargs: Any) -> Any:
        said = [file.read_bytes() for file in sorted(Path(path).glob("*config*.json"))] if path is not None else []
        options = {name: value for name, value in kwargs.items() if name != "state_dict"}
        key = (cls, str(path), *said, repr(args), repr(options), *sorted(kwargs.get("state_dict") or ()))
        if key not in models:
            models[key] = load(cls, path, *args, **kwargs)
        return copy.deepcopy(models[key]) if path is None else models[key]

    def from_dict(cls: Any, /, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        key = (cls, json.dumps(config_dict), repr(kwargs))
        if key not in configurations:
            configurations[key] = describe(cls, config_dict, **kwargs)
        return copy.deepcopy(configurations[key])

    with ExitStack() as stack:
        stack.enter_context(patch.object(PreTrainedModel, "from_pretrained", classmethod(from_pretrained)))
        stack.enter_context(patch.object(PreTrainedConfig, "from_dict", classmethod(from_dict)))
        stack.enter_context(patch.object(PreTrainedConfig, "__repr__", words))
        stack.enter_context(no_init_weights())
        stack.enter_context(quiet())
        yield


def words(config: PreTrainedConfig) -> str:
    """All that a configuration says. As transformers' own words do, it raises an error for an odd dtype."""
    config.dict_dtype_to_str({"dtype": config.dtype})
    return f"{type(config).__name__} {vars(config)}"
