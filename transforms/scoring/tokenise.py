"""Texts to token ids, each distinct text once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from transformers import PreTrainedTokenizerBase

from transforms.scoring.packing import Ids
from transforms.scoring.results import Failure


class Tokens:
    """Token ids of texts, without special tokens and not truncated; remembers what it has seen.

    One of these lives as long as a shard: a document listed by a hundred queries is tokenised once.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._known: dict[str, Ids | Failure] = {}

    def add(self, texts: Iterable[str]) -> None:
        """Tokenise those of the texts that are new, in parallel; one that the tokenizer fails on becomes a Failure."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        try:
            encodings = self._backend.encode_batch_fast(new, add_special_tokens=False)
        except Exception:  # one text of many is bad, and the library does not say which
            self._known |= {text: self._encode_one(text) for text in new}
        else:
            self._known |= {
                text: np.array(encoding.ids, dtype=np.int32) for text, encoding in zip(new, encodings, strict=True)
            }

    def _encode_one(self, text: str) -> Ids | Failure:
        try:
            return np.array(self._backend.encode(text, add_special_tokens=False).ids, dtype=np.int32)
        except Exception as error:  # whatever it is, it is kept with the rejected row
            return Failure("tokenizer_error", f"{type(error).__name__}: {error}")

    def __getitem__(self, text: str) -> Ids | Failure:
        return self._known[text]
