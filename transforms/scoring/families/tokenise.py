"""Texts to token ids, each distinct text once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from transforms.scoring.packed.ragged import Counts, Growing, Ids, Ragged, ragged
from transforms.scoring.results import Failure
from transforms.scoring.tokenising.tokeniser import TextTokeniser, tokeniser_of

# Tokenised at once: what the library returns of a token is some hundred bytes, of which four are kept.
BATCH_CHARACTERS = 1 << 22
_NONE = np.zeros(0, dtype=np.int32)


class Form(NamedTuple):
    """What stands around a text where both are tokenised together."""

    before: str = ""
    after: str = ""


BARE = Form()


class Texts(NamedTuple):
    """Token ids of some texts: one row each, empty where the tokenizer failed on it."""

    ids: Ragged
    failures: dict[int, Failure]  # by the text's place


class Tokens:
    """Token ids of texts, without special tokens and not truncated; remembers what it has seen.

    One of these lives as long as a shard: a document listed by a hundred queries is tokenised once. A text has a number
    in each form that it was seen in, by which all else is looked up.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, tokeniser: TextTokeniser | None = None) -> None:
        """Begin with no texts; `tokeniser` makes the ids of the tokenizer, None for the one in this process."""
        self._tokeniser = tokeniser or tokeniser_of(tokenizer.backend_tokenizer)
        self._vocabulary: int | None = getattr(tokenizer, "rows", None)
        self._rows = Growing()
        self._known: defaultdict[Form, dict[str, int]] = defaultdict(dict)  # text -> number
        self._failures: dict[int, Failure] = {}  # by number

    @property
    def count(self) -> int:
        """How many numbers there are; they begin with 0."""
        return self._rows.count

    def add(self, texts: Iterable[str], form: Form = BARE) -> None:
        """Tokenise those of the texts that are new; one that the tokenizer fails on becomes a Failure."""
        known = self._known[form]
        new = [text for text in dict.fromkeys(texts) if text not in known]
        numbered = iter(new)
        for batch in batches_of(form.before + text + form.after for text in new):
            encoded = list(map(self._checked, self._tokeniser.encode(batch)))
            failures = {self.count + place: one for place, one in enumerate(encoded) if isinstance(one, Failure)}
            self._failures |= failures
            first = self.count
            self._rows.add(ragged([_NONE if isinstance(one, Failure) else one for one in encoded]))
            known |= zip(islice(numbered, len(batch)), range(first, self.count), strict=True)

    def numbers(self, texts: Sequence[str], form: Form = BARE) -> Counts:
        """The texts' numbers, shape [texts]; those that are new are tokenised first."""
        try:
            return np.fromiter(map(self._known[form].__getitem__, texts), np.int64, len(texts))
        except KeyError:
            self.add(texts, form)
            return self.numbers(texts, form)

    def of(self, numbers: Counts) -> Texts:
        """The ids of some numbers."""
        failed = np.flatnonzero(np.isin(numbers, list(self._failures))) if self._failures else ()
        return Texts(self._rows.take(numbers), {int(place): self._failures[int(numbers[place])] for place in failed})

    def read(self, texts: Sequence[str], form: Form = BARE) -> Texts:
        """The texts' ids, those that are new tokenised first."""
        return self.of(self.numbers(texts, form))

    def __getitem__(self, text: str) -> Ids | Failure:
        number = self._known[BARE][text]
        return self._failures[number] if number in self._failures else self._rows.take(np.array([number]))[0]

    def join(self, *columns: Ragged) -> Ragged:
        """Rows made of a row of each column, from left to right; see `ragged.Growing`."""
        return self._rows.join(*columns)

    def _checked(self, ids: Ids | Failure) -> Ids | Failure:
        if self._vocabulary is None or isinstance(ids, Failure) or ids.max(initial=0) < self._vocabulary:
            return ids
        return Failure("tokenizer_error", f"token {ids.max()} is beyond the model's {self._vocabulary} embeddings")


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
