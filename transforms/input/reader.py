"""From a unit of the plan to shards: whole queries, cleaned, in slices of bounded size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.input import arrays
from transforms.input.arrays import run_starts
from transforms.input.cleaning import COUNTS, Clean, clean
from transforms.input.columns import Columns, resolve
from transforms.input.inputs import count_pairs
from transforms.input.parquet import TOO_LARGE, DamagedError, ParquetInput, batches, open_parquet
from transforms.input.plan import Unit
from transforms.input.rows import Rows, flat_batch, group, lost, lost_rows, nested_rows, with_fault
from transforms.input.template import Template
from transforms.schema import IN_INPUT_ORDER, Shard


def read_shards(
    unit: Unit,
    *,
    keep_columns: Sequence[str] = (),
    text_template: Template | None = None,
    shard_pairs: int = 16_384,
    shard_bytes: int = 64 << 20,
    skip: Collection[str] = (),
) -> Iterator[Shard]:
    """Reads a unit from its first row to its last, in bounded memory, as shards of whole queries.

    A shard has at most `shard_pairs` rows of pairs and rejections together, `shard_bytes` bytes of text in UTF-8, and
    less than 2 GiB of each column; a query larger than that is a shard by itself. What the shards are depends on the
    data and these bounds alone. The shards named in `skip` are skipped. A unit without rows has none.

    A row group that turns out to be damaged is read as far as it goes; one rejected row stands for the rest, and one
    for a query of more than 2 GiB.

    Raises:
        UserError: the file is another one than when the job started.
        OSError: the filesystem failed; another attempt may succeed.
    """
    pieces = (clean(rows, text_template) for rows in _read(unit, keep_columns))
    for number, (parts, last) in enumerate(_slices(pieces, shard_pairs, shard_bytes)):
        name = f"{unit.name}-{number:05d}"
        if parts and name not in skip:
            yield assembled(name, last, parts)


def _slices(pieces: Iterable[Clean], max_pairs: int, max_bytes: int) -> Iterator[tuple[list[Clean], bool]]:
    """Cuts `pieces` between queries, each slice as long as the bounds allow. The flag marks the last slice."""
    held: list[Clean] = []
    pairs = size = most = 0
    for piece in pieces:
        start = 0
        more = zip(
            piece.sizes[:, 1:].sum(axis=1).tolist(), piece.text_bytes.tolist(), _most_bytes(piece).tolist(), strict=True
        )
        for place, (new_pairs, new_bytes, new_most) in enumerate(more):
            full = pairs + new_pairs > max_pairs or size + new_bytes > max_bytes or most + new_most > arrays.MOST_BYTES
            if full and pairs and new_pairs:
                yield [*held, piece.slice(start, place)], False
                held, pairs, size, most, start = [], 0, 0, 0, place
            pairs, size, most = pairs + new_pairs, size + new_bytes, most + new_most
        held.append(piece.slice(start, len(piece.text_bytes)))
    yield held, True


def _most_bytes(piece: Clean) -> NDArray[np.int64]:
    """For each query that was read, bytes of the column that takes most, int64 [read].

    The first query stands for all where even together they take next to nothing.
    """
    most = np.zeros(len(piece.sizes), np.int64)
    together = piece.queries.nbytes + piece.pairs.nbytes
    if together < arrays.MOST_BYTES >> 10:
        most[:1] = together
        return most
    for place, batch in enumerate((piece.queries, piece.pairs)):
        ends = np.concatenate([[0], np.cumsum(piece.sizes[:, place])])
        for column in batch.columns:
            most = np.maximum(most, np.diff(arrays.bytes_before(column, ends)))
    return most


def assembled(name: str, last: bool, parts: Sequence[Clean]) -> Shard:
    """What was cleaned, part after part, as a shard; see there for the name and `last`."""
    # Concatenating copies, so that a shard that is sent elsewhere takes along no more than its own rows.
    queries, pairs, rejected = (
        pa.Table.from_batches([pa.concat_batches(list(batches))])
        for batches in zip(*((part.queries, part.pairs, part.rejected) for part in parts), strict=True)
    )
    totals = sum((part.counts.sum(axis=0) for part in parts), start=np.zeros(len(COUNTS), np.int64))
    counts = Counter(dict(zip(COUNTS, totals.tolist(), strict=True)))
    if counts[IN_INPUT_ORDER] < max(1, pairs.num_rows):
        del counts[IN_INPUT_ORDER]
    return Shard(name, last, queries, pairs, rejected, counts)


def _read(unit: Unit, keep_columns: Sequence[str]) -> Iterator[Rows]:
    with open_parquet(unit.file.path, unit.file.footer_hash) as parquet:
        path = parquet.source
        columns = resolve(parquet, keep_columns)
        if unit.damage is not None:
            pairs = unit.stop - unit.start if columns.layout == "flat" else _pairs(parquet, unit, columns)
            yield lost_rows(columns, path, unit.start, pairs, unit.damage)
        elif columns.layout == "nested":
            yield from _read_nested(parquet, unit, columns)
        else:
            flat = read_flat(parquet, path, columns, unit.row_group, unit.row_group_start, unit.start, unit.stop)
            yield from map(group, _whole_runs(flat, partial(lost, columns, path)))


def _pairs(parquet: ParquetInput, unit: Unit, columns: Columns) -> int:
    pairs, _ = count_pairs(parquet.metadata.row_group(unit.row_group), columns)
    return pairs


def _read_nested(parquet: ParquetInput, unit: Unit, columns: Columns) -> Iterator[Rows]:
    path, row, seen = parquet.source, unit.start, 0
    duplicates = np.array(unit.duplicates, np.int64)
    try:
        for batch in batches(parquet, unit.row_group, columns.paths(), columns.plain):
            for part in _fitting(batch):
                if part.nbytes > arrays.MOST_BYTES:
                    entries = len(part.column("candidates").flatten())
                    yield lost_rows(columns, path, row, entries, TOO_LARGE)
                else:
                    rows = nested_rows(part, columns, path, row)
                    entries = rows.entries.num_rows
                    here = duplicates[(duplicates >= row) & (duplicates < row + part.num_rows)]
                    yield with_fault(rows, here - row, "duplicate_query_id")
                row, seen = row + part.num_rows, seen + entries
    except DamagedError as error:
        yield lost_rows(columns, path, row, max(0, _pairs(parquet, unit, columns) - seen), str(error))


def _fitting(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """A batch of whole queries, each by itself where they are too large together."""
    if batch.nbytes <= arrays.MOST_BYTES:
        return [batch]
    alone = (batch.slice(row, 1) for row in range(batch.num_rows))
    # Concatenating copies, so that a query's offsets begin at 0.
    return [part if part.nbytes > arrays.MOST_BYTES else pa.concat_batches([part]) for part in alone]


def read_flat(
    parquet: ParquetInput, path: str, columns: Columns, row_group: int, row_group_start: int, start: int, stop: int
) -> Iterator[pa.RecordBatch]:
    """Rows `start` to `stop` (half-open) of a file in the flat layout, in the form of `rows.flat_batch`.

    `row_group`, which begins with row `row_group_start`, is the one that has row `start`. Of a damaged row group comes
    what can be read, and one row for the rest.
    """
    row = row_group_start
    while row < stop:
        end = row + parquet.metadata.row_group(row_group).num_rows
        try:
            for batch in batches(parquet, row_group, columns.paths(), columns.plain):
                first, after = max(start - row, 0), min(stop - row, batch.num_rows)
                if first < after:
                    yield flat_batch(batch.slice(first, after - first), columns, path, row + first)
                row += batch.num_rows
                if row >= stop:
                    return
        except DamagedError as error:
            first = max(start, row)
            yield lost(columns, path, first, min(stop, end) - first, str(error))
        row, row_group = end, row_group + 1


def _whole_runs(
    flat: Iterable[pa.RecordBatch], lost_run: Callable[[int, int, str], pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """The same rows, cut between queries alone; what `lost_run` makes of a row, a number of pairs and a reason stands
    for a query that is too large."""

    def whole(held: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        if _bytes(held) <= arrays.MOST_BYTES:
            return pa.concat_batches(held)
        pairs = sum(batch.num_rows for batch in held)
        return lost_run(held[0].column("source_row")[0].as_py(), pairs, TOO_LARGE)

    held: list[pa.RecordBatch] = []
    previous = None
    for batch in flat:
        ids = batch.column("query_id")
        starts = np.flatnonzero(run_starts(ids, previous))
        previous = ids[-1]
        if len(starts):
            pieces = [[*held, batch.slice(0, starts[-1])]]
            if _bytes(pieces[0]) > arrays.MOST_BYTES:  # a query alone may still be as large as that
                runs = pairwise(starts)
                pieces = [[*held, batch.slice(0, starts[0])], *([batch.slice(a, b - a)] for a, b in runs)]
            yield from map(whole, pieces)
            held, batch = [], batch.slice(starts[-1])
        held.append(batch)
    yield whole(held)


def _bytes(held: Iterable[pa.RecordBatch]) -> int:
    return sum(batch.nbytes for batch in held)
