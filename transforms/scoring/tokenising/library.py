"""The tokenizers library: the judge of all token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from transforms.base.errors import one_line
from transforms.base.versions import version
from transforms.scoring.packed.ragged import Ids
from transforms.scoring.results import Failure
from transforms.scoring.weights.checkpoints import is_tokenizers


class Library:
    """Token ids as the library gives them, in parallel; a text that it fails on becomes a Failure."""

    name = f"tokenizers {version('tokenizers')}"

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def encode(self, texts: Sequence[str]) -> list[Ids | Failure]:
        """One entry for each text, without special tokens."""
        try:
            encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        except BaseException as error:
            if not is_tokenizers(error):
                raise
            return [self._encode_one(text) for text in texts]  # one of many is bad, and the library does not say which
        return [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]

    def _encode_one(self, text: str) -> Ids | Failure:
        try:
            return np.array(self._backend.encode(text, add_special_tokens=False).ids, dtype=np.int32)
        except BaseException as error:
            if not is_tokenizers(error):
                raise
            return Failure("tokenizer_error", f"{type(error).__name__}: {one_line(error)}")
