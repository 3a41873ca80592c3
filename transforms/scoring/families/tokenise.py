"""Texts to token ids, each distinct text once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from transforms.scoring.packed.ragged import Counts, Ids, Ragged, ragged, stacked
from transforms.scoring.results import Failure
from transforms.scoring.tokenising.tokeniser import Encoder, tokeniser_of

# Tokenised at once: what the library returns of a token is some hundred bytes, of which four are kept.
BATCH_CHARACTERS = 1 << 22
_NONE = np.zeros(0, dtype=np.int32)


class Texts(NamedTuple):
    """Token ids of some texts: one row each, empty where the tokenizer failed on it."""

    ids: Ragged
    failures: dict[int, Failure]  # by the text's place


class Tokens:
    """Token ids of texts, without special tokens and not truncated; remembers what it has seen.

    One of these lives as long as a shard: a document listed by a hundred queries is tokenised once.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, tokeniser: Encoder | None = None) -> None:
        """Begin with no texts; `tokeniser` makes the ids of the tokenizer, None for the one in this process."""
        self._tokeniser = tokeniser or tokeniser_of(tokenizer.backend_tokenizer)
        self._rows: int | None = getattr(tokenizer, "rows", None)
        self._known: dict[str, int] = {}  # text -> its row, counted through all segments
        self._segments: list[Ragged] = []  # what was tokenised at once; never moved, so that rows need not be copied
        self._firsts: list[int] = []  # the number of each segment's first row
        self._failures: dict[int, Failure] = {}  # by row

    def add(self, texts: Iterable[str]) -> None:
        """Tokenise those of the texts that are new; one that the tokenizer fails on becomes a Failure."""
        new = (text for text in dict.fromkeys(texts) if text not in self._known)
        for batch in batches_of(new):
            first = len(self._known)
            found = list(map(self._checked, self._tokeniser.encode(batch)))
            self._failures |= {first + place: one for place, one in enumerate(found) if isinstance(one, Failure)}
            self._segments.append(ragged([_NONE if isinstance(one, Failure) else one for one in found]))
            self._firsts.append(first)
            self._known |= zip(batch, range(first, first + len(batch)), strict=True)

    def read(self, texts: Sequence[str]) -> Texts:
        """The texts' ids, those that are new tokenised first."""
        found = list(map(self._known.get, texts))
        if None in found:
            self.add(texts)
            found = list(map(self._known.get, texts))
        rows = np.array(found, dtype=np.int64)
        failed = np.flatnonzero(np.isin(rows, list(self._failures))) if self._failures else ()
        return Texts(self._take(rows), {int(place): self._failures[int(rows[place])] for place in failed})

    def __getitem__(self, text: str) -> Ids | Failure:
        row = self._known[text]
        if row in self._failures:
            return self._failures[row]
        segment = bisect_right(self._firsts, row) - 1
        return self._segments[segment][row - self._firsts[segment]]

    def _take(self, rows: Counts) -> Ragged:
        """Some rows; where they lie in several segments, copied together."""
        if not len(rows):
            return ragged([])
        low, high = (bisect_right(self._firsts, int(row)) - 1 for row in (rows.min(), rows.max()))
        if low == high:
            return self._segments[low].take(rows - self._firsts[low])
        distinct, places = np.unique(rows, return_inverse=True)
        bounds = [*np.searchsorted(distinct, self._firsts[low : high + 1]).tolist(), len(distinct)]
        parts = [
            segment.take(distinct[start:end] - first).lean()
            for segment, first, start, end in zip(
                self._segments[low : high + 1], self._firsts[low : high + 1], bounds[:-1], bounds[1:], strict=True
            )
        ]
        return stacked(parts).take(places)

    def _checked(self, ids: Ids | Failure) -> Ids | Failure:
        if self._rows is None or isinstance(ids, Failure) or ids.max(initial=0) < self._rows:
            return ids
        return Failure("tokenizer_error", f"token {ids.max()} is beyond the model's {self._rows} embeddings")


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
