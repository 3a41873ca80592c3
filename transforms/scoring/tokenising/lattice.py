"""Unigram's best cuts of many short texts at once.

The scores of a text's pieces are to have the largest sum (Kudo 2018, https://aclanthology.org/P18-1007, by Viterbi's
algorithm). Of equal sums the tokenizers library takes the one whose last piece begins first, and so on to the front.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST = 20  # characters of a text
LETTER = 16  # bits of a letter's number
_AT_ONCE = 4_000  # texts, so that what is made of them stays in the processor's cache
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing, Knuth, The Art of Computer Programming, volume 3, 6.4

Letters = NDArray[np.unsignedinteger[Any]]  # numbers of LETTER bits, 0 for none
Numbers = NDArray[np.int64]


class Lattice:
    """The pieces of a vocabulary, as a trie whose edges are in a table of hashes with open addresses.

    A state is the number of the edge that leads to it, from 1 on; 0 is the root, and in the table an empty place.
    """

    def __init__(self, letters: Letters, lengths: Numbers, scores: NDArray[np.float64]) -> None:
        """Build the trie.

        Args:
            letters: numbers of all pieces' letters end to end, of LETTER bits; 0 for one that no text has.
            lengths: of the pieces, all of which differ, shape [pieces].
            scores: of the pieces, shape [pieces].
        """
        self._longest = int(lengths.max())
        starts = np.cumsum(lengths) - lengths
        letters, states = letters.astype(np.int64), np.zeros_like(lengths)
        edges, number = [np.array([-1])], 1
        for depth in range(self._longest):
            longer = np.flatnonzero(lengths > depth)
            some, which = np.unique(states[longer] << LETTER | letters[starts[longer] + depth], return_inverse=True)
            states[longer] = which + number
            edges.append(some)
            number += len(some)
        self._edges = np.concatenate(edges)
        self._pieces = np.full(number, -1, dtype=np.int32)
        self._pieces[states] = np.arange(len(lengths))
        self._scores = np.append(scores, -np.inf)
        bits = number.bit_length() + 2
        self._shift, self._last = np.uint64(64 - bits), (1 << bits) - 1
        self._table = np.zeros(1 << bits, dtype=np.int32)
        left = np.arange(1, number)
        places = self._hashes(self._edges[left])
        while len(left):
            free = self._table[places] == 0
            self._table[places[free]] = left[free]
            others = self._table[places] != left
            left, places = left[others], (places[others] + 1) & self._last

    def cut(self, letters: Letters, lengths: Numbers) -> tuple[NDArray[np.int32], Numbers]:
        """The numbers of the pieces of texts.

        Args:
            letters: of all texts end to end; each is a piece by itself.
            lengths: of the texts, shape [texts], from 1 to LONGEST.

        Returns:
            pieces of all texts end to end, and how many each text has, shape [texts].
        """
        some = range(_AT_ONCE, len(lengths), _AT_ONCE)
        ends = np.cumsum(lengths)[np.array(some, dtype=np.int64) - 1]
        cut = map(self._cut, np.split(letters, ends), np.split(lengths, some))
        pieces, numbers = zip(*cut, strict=True)
        return np.concatenate(pieces), np.concatenate(numbers)

    def _cut(self, letters: Letters, lengths: Numbers) -> tuple[NDArray[np.int32], Numbers]:
        size, texts = int(lengths.max(initial=0)), len(lengths)
        rows: Numbers = np.zeros((size, texts), dtype=np.int64)  # a row for each place: a step works on neighbours
        rows.T[np.arange(size) < lengths[:, None]] = letters
        order = np.argsort(-lengths, kind="stable")
        rows, ends = rows[:, order], lengths[order]
        longer = np.searchsorted(-ends, -np.arange(size)).tolist()  # texts with more characters, for each place
        pieces = self._begun(rows)
        best = np.full((size + 1, texts), -np.inf)
        best[0] = 0
        reach = np.zeros((size + 1, texts), dtype=np.int8)  # of the best cut's last piece, in characters
        for start in range(size):
            for length in range(1, min(len(pieces), size - start) + 1):
                n = longer[start + length - 1]
                score = best[start, :n] + self._scores[pieces[length - 1, start, :n]]
                before = best[start + length, :n]
                better = score > before
                np.copyto(before, score, where=better)
                np.copyto(reach[start + length, :n], length, where=better)
        chosen = np.full((texts, size), -1, dtype=np.int32)
        text, end = np.arange(texts), ends
        while len(text):
            size_of_last = reach[end, text]
            end = end - size_of_last
            chosen[order[text], end] = pieces[size_of_last - 1, end, text]
            text, end = text[end > 0], end[end > 0]
        found = chosen >= 0
        return chosen[found], found.sum(axis=1)

    def _begun(self, rows: Numbers) -> NDArray[np.int32]:
        """The piece of each length from 1 on that begins at each place, shape [lengths, places, texts]; -1 for none."""
        pieces = np.full((min(len(rows), self._longest), *rows.shape), -1, dtype=np.int32)
        flat, across = rows.ravel(), rows.shape[1]
        places = np.flatnonzero(flat)
        states = np.zeros_like(places)
        for length, found in enumerate(pieces):
            inside = places < flat.size - length * across
            places, states = places[inside], states[inside]
            states = self._next(states << LETTER | flat[places + length * across])
            places, states = places[states > 0], states[states > 0]
            found.ravel()[places] = self._pieces[states]
        return pieces

    def _next(self, edges: Numbers) -> Numbers:
        """The states that the edges lead to; 0 where there is no such edge."""
        places = self._hashes(edges)
        states = self._table[places]
        others = np.flatnonzero((self._edges[states] != edges) & (states > 0))
        while len(others):
            places[others] = (places[others] + 1) & self._last
            found = states[others] = self._table[places[others]]
            others = others[(self._edges[found] != edges[others]) & (found > 0)]
        return states.astype(np.int64)

    def _hashes(self, edges: Numbers) -> Numbers:
        return (edges.astype(np.uint64) * _GOLDEN >> self._shift).astype(np.int64)
