"""Texts to token ids, each distinct text once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from transformers import PreTrainedTokenizerBase

from transforms.scoring.packed.packing import Ids
from transforms.scoring.results import Failure
from transforms.scoring.tokenising.tokeniser import tokeniser_of

# Tokenised at once: what the library returns of a token is some hundred bytes, of which four are kept.
BATCH_CHARACTERS = 1 << 22


class Tokens:
    """Token ids of texts, without special tokens and not truncated; remembers what it has seen.

    One of these lives as long as a shard: a document listed by a hundred queries is tokenised once.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokeniser = tokeniser_of(tokenizer.backend_tokenizer)
        self._rows: int | None = getattr(tokenizer, "rows", None)
        self._known: dict[str, Ids | Failure] = {}

    def add(self, texts: Iterable[str]) -> None:
        """Tokenise those of the texts that are new; one that the tokenizer fails on becomes a Failure."""
        new = (text for text in dict.fromkeys(texts) if text not in self._known)
        for batch in batches_of(new):
            found = map(self._checked, self._tokeniser.encode(batch))
            self._known |= zip(batch, found, strict=True)

    def _checked(self, ids: Ids | Failure) -> Ids | Failure:
        if self._rows is None or isinstance(ids, Failure) or ids.max(initial=0) < self._rows:
            return ids
        return Failure("tokenizer_error", f"token {ids.max()} is beyond the model's {self._rows} embeddings")

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
