"""XLM-R's Unigram: words, cut further where no piece of the vocabulary reaches across."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transforms.scoring.tokenising.added import alternatives
from transforms.scoring.tokenising.lattice import LETTER, LONGEST, Lattice
from transforms.scoring.tokenising.library import Library
from transforms.scoring.tokenising.long_texts import BEFORE_BLANKS
from transforms.scoring.tokenising.parts import SPACE, Codes, Parts, codes

_MARK = "\u2581"  # before each word
_PRE_TOKENIZER = {
    "type": "Sequence",
    "pretokenizers": [
        {"type": "WhitespaceSplit"},
        {"type": "Metaspace", "replacement": _MARK, "prepend_scheme": "always", "split": True},
    ],
}
_FINEST = 2.0**-24  # of a score
_LARGEST = 1024.0
_PAIRS = 22  # bits of a pair's hash
# A mark in the text itself, and what Python takes for a blank but the library does not.
_ODD = re.compile("[\u2581\x1c-\x1f]")


class UnigramCut:
    """Cuts a word between two characters that stand side by side in no piece.

    The best way to cut a word into pieces is then that of its parts, one after the other. That holds to the last bit,
    ties too, since sums of scores that are multiples of 2**-24 have no rounding in the library's float64. Neighbours
    that are no pieces by themselves stay together: the library makes one unknown token of a run of them.
    """

    engine = f"{Library.name} and lattices"
    mark = _MARK
    cuts = BEFORE_BLANKS

    def __init__(
        self, normalizer: Any, pieces: list[str], scores: NDArray[np.float64], unknown: str, added: re.Pattern[str]
    ) -> None:
        self._normalizer, self._scores, self._unknown, self._added = normalizer, scores, unknown, added
        letters = np.array(sorted(ord(piece) for piece in pieces if len(piece) == 1))
        self._numbers: NDArray[np.uint16] = np.zeros(SPACE, dtype=np.uint16)  # 0 for no piece by itself
        self._numbers[letters] = np.arange(1, len(letters) + 1)
        whole = codes("".join(pieces))
        self._letters, self._lengths = self._numbers[whole], np.array([len(piece) for piece in pieces])
        inside = np.ones(len(whole), dtype=np.bool_)
        inside[np.cumsum([0, *map(len, pieces)])[:-1]] = False
        self._together: NDArray[np.bool_] = np.zeros(1 << _PAIRS, dtype=np.bool_)
        self._together[self._pairs(whole)[inside[1:]]] = True
        self._together[0] = True  # two that are no pieces

    def words(self, text: str) -> list[str] | None:
        """See `Cut`."""
        if self._added.search(text):
            return None
        if not (text.isascii() and text.isprintable()):
            try:
                text = self._normalizer.normalize_str(text) if self._normalizer else text
                text.encode()
            except (TypeError, UnicodeError):  # a lone surrogate
                return None
            if _ODD.search(text):
                return None
        if (
            self._unknown in text
        ):  # normalising may make it: a piece like others, but one with what is unknown beside it
            return None
        return text.split()

    def begins(self, codes: Codes) -> NDArray[np.bool_]:
        """See `Cut`."""
        begins: NDArray[np.bool_] = codes == ord(_MARK)
        begins[1:] |= ~self._together[self._pairs(codes)]
        return begins

    def ids(self, parts: Sequence[str]) -> Sequence[bytes | None]:
        """See `Cut`."""
        letters, lengths = self._numbers[codes("".join(parts))], np.array([len(part) for part in parts])
        fits = (lengths <= LONGEST) & (np.minimum.reduceat(letters, np.cumsum(lengths) - lengths) > 0)
        pieces, numbers = self._lattice.cut(letters[np.repeat(fits, lengths)], lengths[fits])
        whole, ends = pieces.tobytes(), accumulate((pieces.itemsize * numbers).tolist(), initial=0)
        ids = (whole[start:end] for start, end in pairwise(ends))
        return [next(ids) if one else None for one in fits.tolist()]

    @cached_property
    def _lattice(self) -> Lattice:
        return Lattice(self._letters, self._lengths, self._scores)

    def _pairs(self, codes: Codes) -> NDArray[np.uint32]:
        """A hash of each character and the next; where two pairs have the same, the worst is a cut less."""
        numbers = self._numbers[codes].astype(np.uint32)
        hashes = numbers[:-1] * np.uint32(0x9E3779B1) + numbers[1:] * np.uint32(0x85EBCA77)
        shortened: NDArray[np.uint32] = np.right_shift(hashes, np.uint32(32 - _PAIRS))
        return shortened


def unigram(description: Mapping[str, Any], backend: Any) -> Parts | None:
    """The engine for a tokenizer of XLM-R's kind as transformers loads it; None for any other."""
    model, added = description["model"], alternatives(description["added_tokens"], lstrip=True)
    as_known = (
        model["type"] == "Unigram"
        and model["unk_id"] is not None
        and not model.get("byte_fallback")
        and description["pre_tokenizer"] == _PRE_TOKENIZER
        and (description["normalizer"] or {"type": None})["type"] in (None, "Precompiled")
        and added is not None
        and not any(BEFORE_BLANKS.search(token["content"]) for token in description["added_tokens"])
        and (not backend.normalizer or all(map(_stays(backend.normalizer), map(chr, range(0x20, 0x7F)))))
    )
    if not as_known or added is None:
        return None
    pieces, scores = [piece for piece, _ in model["vocab"]], np.array([score for _, score in model["vocab"]])
    exact = bool((scores % _FINEST == 0).all() and (np.abs(scores) < _LARGEST).all())
    distinct, few = len(set(pieces)) == len(pieces), sum(len(piece) == 1 for piece in pieces) < 1 << LETTER
    if not (exact and distinct and few and _MARK in pieces and all(pieces)):
        return None
    return Parts(backend.model, UnigramCut(backend.normalizer, pieces, scores, pieces[model["unk_id"]], added))


def _stays(normalizer: Any) -> Callable[[str], bool]:
    return lambda character: normalizer.normalize_str(character) == character
