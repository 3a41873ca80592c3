"""BERT's WordPiece: its words and punctuation marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transforms.scoring.tokenising.added import alternatives
from transforms.scoring.tokenising.library import Library
from transforms.scoring.tokenising.long_texts import BEFORE_BLANKS_AND_STOPS
from transforms.scoring.tokenising.parts import SPACE, Codes, Parts

_UNSEEN, _INSIDE, _BLANK, _ALONE = range(4)  # what is known of a character: it stands inside words, or between them


class WordPieceCut:
    """Cuts where BERT's pre-tokenizer does, as asked about each character."""

    engine = Library.name
    mark = " "
    cuts = BEFORE_BLANKS_AND_STOPS

    def __init__(self, normalizer: Any, pre_tokenizer: Any, added: re.Pattern[str], lowercase: bool) -> None:
        self._normalizer, self._pre_tokenizer, self._added = normalizer, pre_tokenizer, added
        self._plain: Callable[[str], str] = str.lower if lowercase else str
        self._kinds: NDArray[np.uint8] = np.zeros(SPACE, dtype=np.uint8)

    def words(self, text: str) -> list[str] | None:
        """See `Cut`."""
        if self._added.search(text):
            return None
        if text.isascii() and text.isprintable():
            return self._plain(text).split()
        try:  # word by word, since few have anything to normalise: a space stays one, and no mark moves across it
            return " ".join(map(self._word, text.split(" "))).split(" ")
        except (TypeError, UnicodeError):  # a lone surrogate
            return None

    def _word(self, word: str) -> str:
        if word.isascii() and word.isprintable():
            return self._plain(word)
        normal: str = self._normalizer.normalize_str(word)
        return normal

    def begins(self, codes: Codes) -> NDArray[np.bool_]:
        """See `Cut`."""
        kinds = self._kinds[codes]
        if not kinds.all():
            for code in np.unique(codes[kinds == _UNSEEN]).tolist():
                self._kinds[code] = self._kind(chr(code))
            kinds = self._kinds[codes]
        begins: NDArray[np.bool_] = kinds != _INSIDE
        begins[1:] |= kinds[:-1] == _ALONE
        return begins

    def ids(self, parts: Sequence[str]) -> Sequence[bytes | None]:
        """See `Cut`."""
        return [None] * len(parts)

    def _kind(self, character: str) -> int:
        words = [word for word, _ in self._pre_tokenizer.pre_tokenize_str(f"a{character}a")]
        return {f"a{character}a": _INSIDE, "a a": _BLANK, f"a {character} a": _ALONE}[" ".join(words)]


def word_pieces(description: Mapping[str, Any], backend: Any) -> Parts | None:
    """The engine for a tokenizer of BERT's kind; None for any other."""
    normalizer, added = description["normalizer"] or {}, alternatives(description["added_tokens"])
    as_known = (
        description["model"]["type"] == "WordPiece"
        and normalizer.get("type") == "BertNormalizer"
        and normalizer.get("clean_text")
        and description["pre_tokenizer"] == {"type": "BertPreTokenizer"}
        and not any(BEFORE_BLANKS_AND_STOPS.search(token["content"]) for token in description["added_tokens"])
    )
    if not as_known or added is None:
        return None
    cut = WordPieceCut(backend.normalizer, backend.pre_tokenizer, added, bool(normalizer["lowercase"]))
    return Parts(backend.model, cut)
