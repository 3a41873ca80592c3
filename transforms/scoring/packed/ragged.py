"""Rows of token ids of different lengths in one flat array, so that what is done to one row is done to all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ids = NDArray[np.int32]
Counts = NDArray[np.int64]
Number = TypeVar("Number", np.int32, np.int64)
AT_ONCE = 4096  # stretches whose ids are looked up together: about as many as a batch has

_FIRST: Counts = np.arange(1 << 17)  # whole numbers, made once for as many tokens as most batches have


@dataclass(frozen=True)
class Ragged:
    """N rows, each of P stretches of a flat array, one after the other.

    Stretches may overlap and stand in any order, so that rows are taken, cut and joined without a copy of their ids.

    Attributes:
        data: ids, shape [E].
        starts: of each stretch in the data, shape [N, P].
        lengths: of each stretch, shape [N, P].
    """

    data: Ids
    starts: Counts
    lengths: Counts

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, row: int) -> Ids:
        """The ids of one row, of one stretch as they lie there."""
        stretches = zip(self.starts[row].tolist(), self.lengths[row].tolist(), strict=True)
        parts = [self.data[start : start + length] for start, length in stretches]
        ids: Ids = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return ids

    @cached_property
    def sizes(self) -> Counts:
        """Ids of each row, shape [N]."""
        one = self.lengths.shape[1] == 1
        sizes: Counts = self.lengths[:, 0] if one else np.einsum("np->n", self.lengths)  # of few sooner than sum
        return sizes

    def take(self, rows: Counts | slice) -> Ragged:
        """Some of the rows, in their order."""
        if isinstance(rows, slice):
            return Ragged(self.data, self.starts[rows], self.lengths[rows])
        return Ragged(self.data, self.starts.take(rows, axis=0), self.lengths.take(rows, axis=0))

    def cut(self, first: Counts | int, lengths: Counts) -> Ragged:
        """Of N rows of one stretch, or of one for all, so many ids from the given one on; each shape [N]."""
        starts, lengths = np.broadcast_arrays(self.starts + np.reshape(first, (-1, 1)), np.reshape(lengths, (-1, 1)))
        return Ragged(self.data, starts, lengths)

    def without(self, first: Counts) -> Ragged:
        """The rows without so many ids at their begin, shape [N]."""
        before = np.cumsum(self.lengths, axis=1) - self.lengths
        left_out = np.clip(first[:, None] - before, 0, self.lengths)
        return Ragged(self.data, self.starts + left_out, self.lengths - left_out)

    def flat(self) -> Ids:
        """The rows laid end to end."""
        starts, lengths = self.starts.ravel(), self.lengths.ravel()
        blocks = [slice(first, first + AT_ONCE) for first in range(0, len(starts) or 1, AT_ONCE)]
        parts = [self.data.take(ranges(starts[block], lengths[block])) for block in blocks]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def compact(self) -> Ragged:
        """The same rows with data of their own, each one stretch of it."""
        return end_to_end(self.flat(), self.sizes)

    def lean(self) -> Ragged:
        """The same rows, compact where they leave most of the data unused."""
        return self if 2 * self.sizes.sum() >= len(self.data) else self.compact()


def ragged(rows: Sequence[ArrayLike]) -> Ragged:
    """The rows as one flat array."""
    arrays = [np.asarray(row, dtype=np.int32) for row in rows]
    data = np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int32)
    return end_to_end(data, np.array([len(array) for array in arrays], dtype=np.int64))


def end_to_end(data: Ids, sizes: Counts) -> Ragged:
    """Rows of so many ids, shape [N], that lie one after the other in the data."""
    return Ragged(data, (np.cumsum(sizes) - sizes)[:, None], sizes[:, None])


class Growing:
    """Rows that more are added to. Those taken before stay as they are, since what is there is not written again.

    Attributes:
        count: of the rows, which are numbered from 0 in the order of their coming.
    """

    def __init__(self) -> None:
        """Begin with no rows."""
        self._data: Ids = np.empty(0, dtype=np.int32)
        self._used = 0  # the rest of the data is room
        self._starts: Counts = np.empty(0, dtype=np.int64)
        self._sizes: Counts = np.empty(0, dtype=np.int64)
        self.count = 0

    def add(self, rows: Ragged) -> None:
        """Number some rows of data of their own, which lie there one after the other."""
        end = self.count + len(rows)
        self._starts, self._sizes = (_with_room(each, self.count, end) for each in (self._starts, self._sizes))
        self._starts[self.count : end] = self._append(rows.data) + rows.starts[:, 0]
        self._sizes[self.count : end] = rows.sizes
        self.count = end

    def take(self, numbers: Counts) -> Ragged:
        """Some of the rows, in this order; no ids are copied."""
        return Ragged(self._data, self._starts.take(numbers)[:, None], self._sizes.take(numbers)[:, None])

    def join(self, *columns: Ragged) -> Ragged:
        """Rows made of a row of each column, from left to right; a column of one row stands in all rows.

        Of a column that was not taken from here what it uses is added to the data, which is little: words of a prompt.
        """
        own = self._data
        columns = tuple(one if one.data is own else one.lean() for one in columns)
        others = {id(one.data): one.data for one in columns if one.data is not own}
        places = {id(own): 0} | {key: self._append(data) for key, data in others.items()}
        (rows,) = np.broadcast_shapes(*((len(column),) for column in columns))
        starts = [np.broadcast_to(one.starts + places[id(one.data)], (rows, one.starts.shape[1])) for one in columns]
        lengths = [np.broadcast_to(one.lengths, (rows, one.lengths.shape[1])) for one in columns]
        return Ragged(self._data, np.concatenate(starts, 1), np.concatenate(lengths, 1))

    def _append(self, data: Ids) -> int:
        """Where the ids begin that are added."""
        start, self._used = self._used, self._used + len(data)
        self._data = _with_room(self._data, start, self._used)
        self._data[start : self._used] = data
        return start


def _with_room(array: NDArray[Number], used: int, wanted: int) -> NDArray[Number]:
    """The array, or one with the same beginning and room for as many as are wanted, and half as many more."""
    if wanted <= len(array):
        return array
    grown = np.empty(wanted + wanted // 2, dtype=array.dtype)
    grown[:used] = array[:used]
    return grown


def ranges(starts: Counts, lengths: Counts) -> Counts:
    """The whole numbers of stretches, `starts[i]` to `starts[i] + lengths[i] - 1`, one after the other; shape [sum]."""
    ends = np.cumsum(lengths)
    places: Counts = np.repeat(starts - ends + lengths, lengths)
    places += np.arange(len(places)) if len(places) > len(_FIRST) else _FIRST[: len(places)]
    return places
