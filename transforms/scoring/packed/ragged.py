"""Rows of token ids of different lengths in one flat array, so that what is done to one row is done to all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ids = NDArray[np.int32]
Counts = NDArray[np.int64]


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
        return self.data.take(ranges(self.starts.ravel(), self.lengths.ravel()))

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


def joined(*columns: Ragged) -> Ragged:
    """Rows made of a row of each column, from left to right; a column of one row stands in all rows.

    Of data that the columns leave unused for the most part, only what they use is copied.
    """
    used: dict[int, int] = {}
    for column in columns:
        used[id(column.data)] = used.get(id(column.data), 0) + int(column.lengths.sum())
    columns = tuple(one if 2 * used[id(one.data)] >= len(one.data) else one.compact() for one in columns)
    (rows,) = np.broadcast_shapes(*((len(column),) for column in columns))
    distinct = {id(column.data): column.data for column in columns}
    places = dict(zip(distinct, np.cumsum([0, *map(len, distinct.values())]).tolist(), strict=False))
    starts = [np.broadcast_to(one.starts + places[id(one.data)], (rows, one.starts.shape[1])) for one in columns]
    lengths = [np.broadcast_to(one.lengths, (rows, one.lengths.shape[1])) for one in columns]
    return Ragged(np.concatenate(list(distinct.values())), np.concatenate(starts, 1), np.concatenate(lengths, 1))


def stacked(parts: Sequence[Ragged]) -> Ragged:
    """The rows of several, each of one stretch, one after the other."""
    places = np.cumsum([0, *(len(part.data) for part in parts)]).tolist()
    return Ragged(
        np.concatenate([part.data for part in parts]),
        np.concatenate([part.starts + place for part, place in zip(parts, places, strict=False)]),
        np.concatenate([part.lengths for part in parts]),
    )


def ranges(starts: Counts, lengths: Counts) -> Counts:
    """The whole numbers of stretches, `starts[i]` to `starts[i] + lengths[i] - 1`, one after the other; shape [sum]."""
    ends = np.cumsum(lengths)
    places: Counts = np.repeat(starts - ends + lengths, lengths)
    places += np.arange(len(places))
    return places
