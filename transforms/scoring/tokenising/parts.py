"""Texts cut into parts that a tokenizer's model reads by themselves, so that each distinct part is read once."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterator, Sequence, Set
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from transforms.scoring.packed.ragged import Ids
from transforms.scoring.weights.checkpoints import is_tokenizers

Codes = NDArray[np.uint32]  # of the characters of a text
SPACE = 0x110000  # of codes
_AT_ONCE = 1 << 18  # characters, so that what is made of them stays in the processor's cache
_REMEMBERED = 1 << 18  # words, and parts, of some 200 bytes each with their ids
_LONG = 20  # characters; what is longer is hardly met again
_MANY = 1 << 13  # parts, which take the model a tenth of a second


class Cut(Protocol):
    """Where the texts of one kind of tokenizer can be cut."""

    engine: str  # what reads the parts, with its version
    mark: str  # what a word begins with, as the model reads it
    cuts: re.Pattern[str]  # see `tokeniser.Engine`

    def words(self, text: str) -> list[str] | None:
        """The normalised text's words; None if it is for the library."""

    def begins(self, codes: Codes) -> NDArray[np.bool_]:
        """Whether a part begins at each character of marked words end to end, shape [characters]; the first is ignored.

        A mark begins one.
        """

    def ids(self, parts: Sequence[str]) -> Sequence[bytes | None]:
        """The token ids, each a C int, of many parts at once; None where the model is to read a part by itself."""


class Remembered(dict[str, bytes]):
    """Ids of texts that were read before, but for long ones; all are forgotten when they are _REMEMBERED."""

    def __init__(self, read: Callable[[Sequence[str]], dict[str, bytes]]) -> None:
        super().__init__()
        self._read = read

    def ids(self, texts: Set[str]) -> dict[str, bytes]:
        """Those of the texts; what is new is read."""
        if len(self) >= _REMEMBERED:
            self.clear()
        known = {text: self[text] for text in texts if text in self}
        new = [text for text in texts if text not in known]
        read = self._read(new) if new else {}
        self.update((text, ids) for text, ids in read.items() if len(text) <= _LONG)
        return known | read


class Parts:
    """Token ids of texts, put together from those of their words, and these from those of their parts.

    Attributes:
        name: of what makes the ids, with its version.
        cuts: see `tokeniser.Engine`.
    """

    def __init__(self, model: Any, cut: Cut) -> None:
        self.name = f"{cut.engine}, each part once"
        self._model, self._cut = model, cut
        self.cuts = cut.cuts
        self._words, self._parts = Remembered(self._read_words), Remembered(self._read)
        self._number = 0  # of parts that were read

    def encode(self, texts: Sequence[str]) -> list[Ids | None]:
        """One entry for each text, None where it is for the library."""
        encoded: list[Ids | None] = [None] * len(texts)
        for places in _some_at_once(texts):
            try:
                words = [self._cut.words(texts[place]) for place in places]
                ids = iter(self._joined([some for some in words if some is not None]))
            except BaseException as error:
                if not is_tokenizers(error):
                    raise
                continue
            for place, some in zip(places, words, strict=True):
                encoded[place] = None if some is None else next(ids)
        return encoded

    def _joined(self, texts: Sequence[list[str]]) -> list[Ids]:
        of_word = self._words.ids(set[str]().union(*texts))
        pieces = [b"".join(map(of_word.__getitem__, words)) for words in texts]
        ends = np.cumsum([len(piece) for piece in pieces], dtype=np.int64) // array("i").itemsize
        return np.split(np.frombuffer(bytearray(b"".join(pieces)), dtype=np.int32), ends[:-1]) if pieces else []

    def _read_words(self, words: Sequence[str]) -> dict[str, bytes]:
        marked = [self._cut.mark + word for word in words]
        whole = "".join(marked)
        begins = self._cut.begins(codes(whole))
        begins[0] = True
        bounds = np.flatnonzero(begins)
        parts = [whole[start:end] for start, end in pairwise([*bounds.tolist(), len(whole)])]
        pieces = list(map(self._parts.ids(set(parts)).__getitem__, parts))
        ends = np.searchsorted(bounds, np.cumsum([len(word) for word in marked])).tolist()
        return {
            word: b"".join(pieces[start:end]) for word, (start, end) in zip(words, pairwise([0, *ends]), strict=True)
        }

    def _read(self, parts: Sequence[str]) -> dict[str, bytes]:
        self._number += len(parts)
        ids = self._cut.ids(parts) if self._number > _MANY else [None] * len(parts)
        return {part: self._ids(part) if known is None else known for part, known in zip(parts, ids, strict=True)}

    def _ids(self, part: str) -> bytes:
        return array("i", [token.id for token in self._model.tokenize(part.strip())]).tobytes()


def codes(text: str) -> Codes:
    """Of the text's characters."""
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def _some_at_once(texts: Sequence[str]) -> Iterator[range]:
    """Places of neighbouring texts that together have about _AT_ONCE characters."""
    start = size = 0
    for place, text in enumerate(texts):
        size += len(text)
        if size >= _AT_ONCE:
            yield range(start, place + 1)
            start, size = place + 1, 0
    yield range(start, len(texts))
