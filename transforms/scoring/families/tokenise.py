"""Texts to token ids, each distinct text once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from transformers import PreTrainedTokenizerBase

from transforms.base.errors import one_line
from transforms.scoring.packed.packing import Ids
from transforms.scoring.results import Failure
from transforms.scoring.weights.checkpoints import is_tokenizers

# Tokenised at once: what the library returns of a token is some hundred bytes, of which four are kept.
BATCH_CHARACTERS = 1 << 22


class Tokens:
    """Token ids of texts, without special tokens and not truncated; remembers what it has seen.

    One of these lives as long as a shard: a document listed by a hundred queries is tokenised once.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._rows: int | None = getattr(tokenizer, "rows", None)
        self._known: dict[str, Ids | Failure] = {}

    def add(self, texts: Iterable[str]) -> None:
        """Tokenise those of the texts that are new, in parallel; one that the tokenizer fails on becomes a Failure."""
        new = (text for text in dict.fromkeys(texts) if text not in self._known)
        for batch in batches_of(new):
            self._add(batch)

    def _add(self, new: list[str]) -> None:
        try:
            encodings = self._backend.encode_batch_fast(new, add_special_tokens=False)
        except BaseException as error:
            if not is_tokenizers(error):
                raise
            # One text of many is bad, and the library does not say which.
            self._known |= {text: self._encode_one(text) for text in new}
        else:
            self._known |= {text: self._checked(encoding.ids) for text, encoding in zip(new, encodings, strict=True)}

    def _encode_one(self, text: str) -> Ids | Failure:
        try:
            return self._checked(self._backend.encode(text, add_special_tokens=False).ids)
        except BaseException as error:
            if not is_tokenizers(error):
                raise
            return Failure("tokenizer_error", f"{type(error).__name__}: {one_line(error)}")

    def _checked(self, read: list[int]) -> Ids | Failure:
        ids = np.array(read, dtype=np.int32)
        if self._rows is not None and ids.max(initial=0) >= self._rows:
            return Failure("tokenizer_error", f"token {ids.max()} is beyond the model's {self._rows} embeddings")
        return ids

    def __getitem__(self, text: str) -> Ids | Failure:
        return self._known[text]


def batches_of(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts in lists of at most BATCH_CHARACTERS together; a longer text is a list alone."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and size + len(text) > BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield batch
