"""The soonest way to a tokenizer's ids that gives exactly those of the tokenizers library."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from transforms.scoring.packed.ragged import Ids
from transforms.scoring.results import Failure
from transforms.scoring.tokenising.byte_pairs import byte_pairs
from transforms.scoring.tokenising.library import Library
from transforms.scoring.tokenising.long_texts import LONGEST, pieces
from transforms.scoring.tokenising.unigram import unigram
from transforms.scoring.tokenising.word_pieces import word_pieces


class Engine(Protocol):
    """Gives the library's ids for the texts that it knows how to do."""

    name: str
    cuts: re.Pattern[str]  # where a text can be cut, so that the ids of the pieces are the text's

    def encode(self, texts: Sequence[str]) -> list[Ids | None]:
        """One entry for each text, None where it is for the library."""


class TextTokeniser(Protocol):
    """Texts to token ids, without special tokens and not truncated."""

    name: str  # of what makes the ids, with its version

    def encode(self, texts: Sequence[str]) -> list[Ids | Failure]:
        """One entry for each text; a Failure where the library fails on it."""


class Tokeniser:
    """Texts to token ids, without special tokens and not truncated.

    Attributes:
        name: of what makes the ids, with its version.
    """

    def __init__(self, backend: Any) -> None:
        description = json.loads(backend.to_str())
        self._library = Library(backend)
        self._engine: Engine | None = (
            byte_pairs(description, backend) or unigram(description, backend) or word_pieces(description, backend)
        )
        self.name: str = (self._engine or self._library).name

    def encode(self, texts: Sequence[str]) -> list[Ids | Failure]:
        """One entry for each text; a Failure where the library fails on it."""
        if self._engine is None:
            return self._library.encode(texts)
        encoded = iter(self._encode(self._engine, [text for text in texts if len(text) <= LONGEST]))
        return [next(encoded) if len(text) <= LONGEST else self._in_pieces(self._engine, text) for text in texts]

    def _encode(self, engine: Engine, texts: Sequence[str]) -> list[Ids | Failure]:
        encoded = engine.encode(texts)
        left = iter(self._library.encode([text for text, ids in zip(texts, encoded, strict=True) if ids is None]))
        return [next(left) if ids is None else ids for ids in encoded]

    def _in_pieces(self, engine: Engine, text: str) -> Ids | Failure:
        read: list[Ids] = []
        for piece in pieces(text, engine.cuts):
            (ids,) = self._encode(engine, [piece])
            if isinstance(ids, Failure):
                return ids
            read.append(ids)
        return np.concatenate(read)


@lru_cache(maxsize=2)
def tokeniser_of(backend: Any) -> Tokeniser:
    """The backend's tokeniser, made once; the backend must not change any more."""
    return Tokeniser(backend)
