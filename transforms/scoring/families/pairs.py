"""How a query and a document become one sequence: the tokenizer's special tokens, and what is cut of which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, groupby
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from transforms.base.errors import UserError
from transforms.scoring.families.tokenise import BARE, Form, Tokens
from transforms.scoring.packed.ragged import Counts, Ragged, ragged, ranges
from transforms.scoring.packed.sequences import Sequences, read_once
from transforms.scoring.results import Failure, RankingTask


class Pairs(NamedTuple):
    """The texts of all pairs of some tasks as token ids.

    Attributes:
        query: of each pair whose texts can both be tokenised, N rows.
        document: likewise.
        tasks: which task each of these is of, shape [N].
        pairs: which of all pairs each is, shape [N].
        total: how many pairs there are.
        failures: of the other pairs, the query's where both of its texts failed.
        numbers: of the documents in `Tokens`, shape [N].
    """

    query: Ragged
    document: Ragged
    tasks: Counts
    pairs: Counts
    total: int
    failures: dict[int, Failure]
    numbers: Counts


def read_pairs(
    tasks: Sequence[RankingTask], queries: Sequence[str], documents: Sequence[str], tokens: Tokens, form: Form = BARE
) -> Pairs:
    """Tokenise the texts of some tasks.

    Args:
        tasks: the tasks.
        queries: the text of each task's query, as it is to be tokenised.
        documents: those of all documents, task by task.
        tokens: of the shard.
        form: in which the documents are tokenised.
    """
    numbers = tokens.numbers(documents, form)
    query, document = tokens.read(queries), tokens.of(numbers)
    of_task = np.repeat(np.arange(len(tasks)), [len(task.documents) for task in tasks])
    total, places = len(of_task), np.arange(len(of_task))
    failures = dict(document.failures)
    for task, failure in query.failures.items():
        failures |= dict.fromkeys(np.flatnonzero(of_task == task).tolist(), failure)
    shown = document.ids
    if failures:
        places = np.setdiff1d(places, list(failures))
        of_task, shown, numbers = of_task[places], shown.take(places), numbers[places]
    return Pairs(query.ids.take(of_task), shown, of_task, places, total, failures, numbers)


def documents_of(tasks: Sequence[RankingTask]) -> list[str]:
    """The documents of all pairs."""
    return list(chain.from_iterable(task.documents for task in tasks))


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

    def join(self, query: Ragged, document: Ragged, join: Callable[..., Ragged]) -> Sequences:
        """Pairs of N queries and N documents, each one sequence that is read at its first token.

        `join` makes rows of columns, as `ragged.Growing` does.
        """
        prefix, middle, suffix = (ragged([words]) for words in (self.prefix, self.middle, self.suffix))
        ids = join(prefix, query, middle, document, suffix)
        second = None if self.typed_middle is None else len(self.prefix) + query.sizes + self.typed_middle
        return read_once(ids, np.zeros(len(ids), dtype=np.int64), second_segments=second)


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


class Windows(NamedTuple):
    """Stretches of several texts, W in all, those of a text in a row; each array has shape [W]."""

    text: Counts  # which text
    first: Counts  # its first token
    tokens: Counts


def windows(tokens: Counts, size: Counts, overlap: int) -> Windows:
    """Stretches of at most so many tokens that cover each text; its last one is as full as the others.

    Neighbours overlap by `overlap`, at most by a quarter of a window, the last two possibly by more.

    Args:
        tokens: of each text, shape [N].
        size: of its windows, at most, shape [N].
        overlap: in tokens.
    """
    step, beyond = size - np.minimum(overlap, size // 4), np.maximum(tokens - size, 0)
    counts = -(-beyond // step) + 1
    text = np.repeat(np.arange(len(tokens)), counts)
    number = ranges(np.zeros_like(counts), counts)
    return Windows(text, np.minimum(number * step[text], beyond[text]), np.minimum(tokens, size)[text])


def longest_first(first: Counts, second: Counts, room: int) -> tuple[Counts, Counts]:
    """Lengths of two texts, each shape [N], after cutting the longer one to the room, or both to half of it."""
    short, long = np.minimum(first, second), np.maximum(first, second)
    long = np.where(short + long > room, np.maximum(short, room - short), long)
    both = short + long > room
    short, long = np.where(both, room // 2, short), np.where(both, room - room // 2, long)
    return np.where(first <= second, short, long), np.where(first <= second, long, short)
