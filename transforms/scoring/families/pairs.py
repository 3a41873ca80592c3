"""How a query and a document become one sequence: the tokenizer's special tokens, and what is cut of which."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from transforms.base.errors import UserError
from transforms.scoring.packed.packing import Ids, TokenSequence

FIRST_TOKEN = np.zeros(1, dtype=np.int32)


class Template(NamedTuple):
    """The special tokens of a pair, as the tokenizer places them, and those of a text alone."""

    prefix: tuple[int, ...]
    middle: tuple[int, ...]
    suffix: tuple[int, ...]
    typed_middle: int | None  # how many of the middle's tokens are of the first segment; None: all tokens are
    alone: int  # how many special tokens a text alone takes

    @property
    def size(self) -> int:
        return len(self.prefix) + len(self.middle) + len(self.suffix)

    def join(self, query: Ids, document: Ids) -> TokenSequence:
        """The pair as one sequence that is read at its first token."""
        ids = np.concatenate([self.prefix, query, self.middle, document, self.suffix], dtype=np.int32, casting="unsafe")
        first = len(ids) if self.typed_middle is None else len(self.prefix) + len(query) + self.typed_middle
        return TokenSequence(ids, FIRST_TOKEN, first)


def template_of(tokenizer: PreTrainedTokenizerBase) -> Template:
    """Read the pair's form off an encoded pair of one-letter texts.

    Segments are distinguished only where the tokenizer hands token types to its model: transformers 5 does not for a
    PreTrainedTokenizerFast whose tokenizer_config.json has no model_input_names with them, version 4 did.

    Raises:
        UserError: the form is another than query, then document.
    """
    pair = tokenizer.backend_tokenizer.encode("a", "b")
    sides = list(pair.sequence_ids)
    runs = [side for side, _ in groupby(side for side in sides if side is not None)]
    if runs != [0, 1] or pair.type_ids[0] != 0:
        raise UserError("the tokenizer builds pairs in a form that is not query, then document; use a fast tokenizer")
    first, second = sides.index(0), sides.index(1)
    first_end = len(sides) - sides[::-1].index(0)
    second_end = len(sides) - sides[::-1].index(1)
    typed = pair.type_ids[second] and "token_type_ids" in tokenizer.model_input_names
    middle_types = pair.type_ids[first_end:second]
    return Template(
        prefix=tuple(pair.ids[:first]),
        middle=tuple(pair.ids[first_end:second]),
        suffix=tuple(pair.ids[second_end:]),
        typed_middle=middle_types.count(0) if typed else None,
        alone=tokenizer.backend_tokenizer.num_special_tokens_to_add(False),
    )


def windows(tokens: int, size: int, overlap: int) -> tuple[tuple[int, int], ...]:
    """Half-open ranges of at most `size` tokens that cover 0..tokens; the last one is as full as the others.

    Neighbours overlap by `overlap`, at most by a quarter of a window, the last two possibly by more.
    """
    step = size - min(overlap, size // 4)
    starts = range(0, max(tokens - size, 0), step)
    return (*((start, start + size) for start in starts), (max(tokens - size, 0), tokens))


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Lengths of two texts after cutting the longer one to the room, or both to half of it."""
    short, long = sorted((first, second))
    if short + long > room:
        long = max(short, room - short)
    if short + long > room:
        short, long = room // 2, room - room // 2
    return (short, long) if first <= second else (long, short)
