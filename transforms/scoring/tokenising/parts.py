"""Texts cut into parts that a tokenizer's model reads by themselves, so that each distinct part is read once."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from transforms.base.versions import version
from transforms.scoring.packed.packing import Ids
from transforms.scoring.weights.checkpoints import is_tokenizers

Codes = NDArray[np.uint32]  # of the characters of a text
SPACE = 0x110000  # of codes
_AT_ONCE = 1 << 18  # characters, so that what is made of them stays in the processor's cache
_REMEMBERED = 1 << 18  # parts, of some 200 bytes each with their ids
_LONG = 64  # characters; a longer part is hardly met again


class Cut(Protocol):
    """Where the texts of one kind of tokenizer can be cut."""

    def normal(self, text: str) -> str | None:
        """The text as the model reads it, beginning with a mark for a word's begin; None if it is for the library."""

    def begins(self, codes: Codes) -> NDArray[np.bool_]:
        """Whether a part begins at each character of texts end to end, shape [characters]; the first is ignored."""


class Parts:
    """Token ids of texts, put together from those of their parts.

    Attributes:
        name: of what makes the ids, with its version.
    """

    name = f"tokenizers {version('tokenizers')}, each part once"

    def __init__(self, model: Any, cut: Cut) -> None:
        self._model, self._cut = model, cut
        self._known: dict[str, bytes] = {}

    def encode(self, texts: Sequence[str]) -> list[Ids | None]:
        """One entry for each text, None where it is for the library."""
        found: list[Ids | None] = [None] * len(texts)
        for places in _some_at_once(texts):
            try:
                normal = [self._cut.normal(texts[place]) for place in places]
                ids = iter(self._ids([text for text in normal if text is not None]))
            except BaseException as error:
                if not is_tokenizers(error):
                    raise
                continue
            for place, text in zip(places, normal, strict=True):
                found[place] = None if text is None else next(ids)
        return found

    def _ids(self, texts: Sequence[str]) -> list[Ids]:
        whole = "".join(texts)
        if not whole:
            return [np.empty(0, dtype=np.int32) for _ in texts]
        ends = np.cumsum([len(text) for text in texts])
        begins = np.append(self._cut.begins(np.frombuffer(whole.encode("utf-32-le"), dtype=np.uint32)), True)
        begins[0] = begins[ends] = True
        bounds = np.flatnonzero(begins)
        parts = [whole[start:end] for start, end in pairwise(bounds.tolist())]
        known = self._known = self._known if len(self._known) < _REMEMBERED else {}
        pieces = [known[part] if part in known else self._read(part, known) for part in parts]
        tokens = np.cumsum([0, *map(len, pieces)]) // array("i").itemsize
        ids = np.frombuffer(bytearray(b"".join(pieces)), dtype=np.int32)
        return np.split(ids, tokens[np.searchsorted(bounds, ends[:-1])])

    def _read(self, part: str, known: dict[str, bytes]) -> bytes:
        ids = array("i", [token.id for token in self._model.tokenize(part.strip())]).tobytes()
        if len(part) <= _LONG:
            known[part] = ids
        return ids


def _some_at_once(texts: Sequence[str]) -> Iterator[range]:
    """Places of neighbouring texts that together have about _AT_ONCE characters."""
    start = size = 0
    for place, text in enumerate(texts):
        size += len(text)
        if size >= _AT_ONCE:
            yield range(start, place + 1)
            start, size = place + 1, 0
    yield range(start, len(texts))
