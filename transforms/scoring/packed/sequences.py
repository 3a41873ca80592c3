"""The model's inputs: sequences of token ids, what is read of each, and what they share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from transforms.scoring.packed.ragged import Counts, Ids, Ragged, end_to_end, ragged


class Prefix(NamedTuple):
    """The first tokens of several sequences, the same in all of them.

    In a causal model their hidden states are the same too, so that they need be computed only once.
    """

    group: int  # a number of the sequences that have it
    tokens: int


NO_PREFIX = Prefix(-1, 0)


class TokenSequence(NamedTuple):
    """One input of the model.

    Attributes:
        ids: token ids, shape [tokens].
        reads: the places in `ids` whose hidden states the head reads, ascending, none in the prefix, shape [reads].
        second_segment: place of the first token of type 1 (BERT's second segment); len(ids) where there is none.
        prefix: what it shares with other sequences.
        part: number of the model that reads it, in a family with several.
    """

    ids: Ids
    reads: Ids
    second_segment: int
    prefix: Prefix = NO_PREFIX
    part: int = 0


@dataclass(frozen=True)
class Sequences:
    """N inputs of the model, each a TokenSequence, as arrays over all of them.

    Attributes:
        ids: N rows.
        reads: N rows.
        second_segments: shape [N].
        groups: of the prefixes, shape [N].
        prefixes: tokens of the prefixes, shape [N].
        parts: shape [N].
    """

    ids: Ragged
    reads: Ragged
    second_segments: Counts
    groups: Counts
    prefixes: Counts
    parts: Counts

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[TokenSequence]:
        for row in range(len(self)):
            prefix = Prefix(int(self.groups[row]), int(self.prefixes[row]))
            second, part = int(self.second_segments[row]), int(self.parts[row])
            yield TokenSequence(self.ids[row], self.reads[row], second, prefix, part)

    @property
    def lengths(self) -> Counts:
        """Tokens of each, shape [N]."""
        return self.ids.sizes

    def take(self, rows: Counts) -> Sequences:
        """Some of the sequences, in their order."""
        return Sequences(
            self.ids.take(rows),
            self.reads.take(rows),
            self.second_segments[rows],
            self.groups[rows],
            self.prefixes[rows],
            self.parts[rows],
        )


def sequences_of(sequences: Sequence[TokenSequence]) -> Sequences:
    """Sequences made one by one, as arrays."""
    columns = [(one.second_segment, *one.prefix, one.part) for one in sequences]
    return Sequences(
        ragged([one.ids for one in sequences]),
        ragged([one.reads for one in sequences]),
        *np.array(columns, dtype=np.int64).reshape(-1, 4).T,
    )


def read_once(
    ids: Ragged,
    reads: Counts,
    *,
    second_segments: Counts | None = None,
    prefixes: tuple[Counts, Counts] | None = None,
    parts: Counts | None = None,
) -> Sequences:
    """Sequences that are read at one place each, shape [N]; what is None is as in a TokenSequence by default.

    `prefixes` are the groups and their tokens.
    """
    count = len(ids)
    groups, shared = prefixes or (np.full(count, NO_PREFIX.group), np.full(count, NO_PREFIX.tokens))
    return Sequences(
        ids,
        end_to_end(reads.astype(np.int32), np.ones(count, dtype=np.int64)),
        ids.sizes if second_segments is None else second_segments,
        groups,
        shared,
        np.zeros(count, dtype=np.int64) if parts is None else parts,
    )
