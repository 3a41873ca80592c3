"""Flat input whose queries' rows do not stand together, regrouped on disk into nested Parquet.

Two passes. The first copies each input file into a spill file whose row groups hold one bucket each, a bucket being the
queries of one hash. The second reads one bucket at a time from all spill files, sorts it by query, and writes it as
nested Parquet. Each spill file and each result appears whole, under a name that says what input it is made of and what
bytes it has, so a resume goes on where the last run stopped, and makes anew what has been damaged since.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple
from functools import partial
from itertools import chain, islice, pairwise
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from transforms.base import json_text
from transforms.base.files import (
    delete,
    flush_names,
    join,
    list_names,
    open_columns,
    rename,
    sha256,
    sweep,
    write_atomically,
)
from transforms.input import arrays
from transforms.input.arrays import bytes_before, usable_ids
from transforms.input.columns import INTERNAL, REGROUPED, Columns, resolve
from transforms.input.inputs import InputFile
from transforms.input.parquet import TOO_LARGE, open_parquet
from transforms.input.reader import read_flat
from transforms.input.rows import KEEP, Rows, group, kept_names, lost
from transforms.layout import PARQUET, PART, REGROUPED_DIRECTORY

# A bucket is sorted in memory, which takes some copies of it.
_BUCKET_BYTES = 128 << 20
# As much of a file is held before it is written by bucket.
_HELD_BYTES = 128 << 20
# A row group of the result is read by one reader in sequence: about a shard.
_ROW_GROUP_PAIRS = 16_384
_ROW_GROUP_BYTES = 64 << 20
_BUCKET = "bucket"
_OWN = ("n_candidates", "fault", "detail", "source_file", "source_row")


def regroup(files: Sequence[InputFile], output: str, keep_columns: Sequence[str] = ()) -> list[str]:
    """Regroups files in the flat layout under OUTPUT/_regrouped, and returns the paths of the nested files.

    Queries come bucket by bucket, and within a bucket in the order in which they first appear; a query's rows keep
    their order. Rows without a usable query id stay, each a query by itself. All rows remember their file and row.
    One row stands for a query of more than 2 GiB.

    Raises:
        UserError: a file is another one than when it was inspected.
        OSError: a filesystem failed.
    """
    full = [file for file in files if file.rows]
    directory = join(output, REGROUPED_DIRECTORY)
    key = json_text.sha256([[astuple(file) for file in full], list(keep_columns)])[:8]
    n_buckets = 1 + sum(_decoded_bytes(file, keep_columns) for file in full) // _BUCKET_BYTES
    names = list_names(directory)
    parts = [_find(directory, names, f"{PART}-{key}-{bucket:05d}") for bucket in range(n_buckets)]
    if None in parts:
        spills = [
            _find(directory, names, stem := f"spill-{key}-{file.index:05d}")
            or _make(directory, stem, partial(_spill, file=file, n_buckets=n_buckets, keep_columns=keep_columns))
            for file in full
        ]
        row_groups = {spill: _row_groups_by_bucket(spill) for spill in spills}
        for bucket in (bucket for bucket, part in enumerate(parts) if part is None):
            table = _read_bucket({spill: of_spill.get(bucket, []) for spill, of_spill in row_groups.items()})
            parts[bucket] = _make(directory, f"{PART}-{key}-{bucket:05d}", partial(_write_nested, bucket=table))
    made = [part for part in parts if part is not None]
    own = [join(directory, name) for name in list_names(directory) if name.startswith((f"{PART}-", "spill-"))]
    delete(path for path in own if path not in made)
    sweep(directory)
    return made


def _find(directory: str, names: Sequence[str], stem: str) -> str | None:
    """The file that `_make` made, if it is among those that are there and has the bytes that it had then."""
    paths = (join(directory, name) for name in names if name.startswith(f"{stem}-"))
    return next((path for path in paths if path == _path(directory, stem, sha256(path))), None)


def _make(directory: str, stem: str, fill: Callable[[BinaryIO], None]) -> str:
    """Writes a file under a name that ends in its bytes' digest, and returns its path."""
    unnamed = join(directory, stem)
    write_atomically(unnamed, fill)
    path = _path(directory, stem, sha256(unnamed))
    rename(unnamed, path)
    flush_names(directory)
    return path


def _path(directory: str, stem: str, digest: str) -> str:
    return join(directory, f"{stem}-{digest[:16]}{PARQUET}")


def _read(file: InputFile, keep_columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """An empty batch, so that the schema is there whatever follows, and the file's rows."""
    with open_parquet(file.path, file.footer_hash) as parquet:
        columns = resolve(parquet, keep_columns)
        yield lost(columns, parquet.source, 0, 0, "").slice(0, 0)
        yield from read_flat(parquet, parquet.source, columns, row_group=0, row_group_start=0, start=0, stop=file.rows)


def _decoded_bytes(file: InputFile, keep_columns: Sequence[str]) -> int:
    """Bytes of a file in memory, going by its first rows: texts that repeat may take next to nothing in the file."""
    first = next(islice(_read(file, keep_columns), 1, None))
    return int(file.rows * first.nbytes // first.num_rows)


def _bucket_of(ids: pa.StringArray, n_buckets: int) -> NDArray[np.int64]:
    """The bucket of each row by its query id; rows without a usable one, of which there may be many, are spread."""
    encoded = ids.cast(pa.binary()).dictionary_encode()
    hashes = np.array([zlib.crc32(value) for value in encoded.dictionary.to_pylist()], np.int64)
    codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    spread = np.arange(len(ids))
    return np.where(usable_ids(ids), hashes[codes] if len(hashes) else spread, spread) % n_buckets


def _spill(stream: BinaryIO, file: InputFile, n_buckets: int, keep_columns: Sequence[str]) -> None:
    """The first pass over one file. Row groups hold one bucket each, whose number is their first column."""
    batches = _read(file, keep_columns)
    held = [next(batches)]
    schema = held[0].schema.insert(0, pa.field(_BUCKET, pa.int64()))
    with pq.ParquetWriter(stream, schema, compression="zstd", write_statistics=[_BUCKET]) as writer:
        size = 0
        for batch in batches:
            if size + batch.nbytes > _HELD_BYTES:
                _write_by_bucket(writer, pa.concat_batches(held), n_buckets)
                held, size = held[:1], 0
            held.append(batch)
            size += batch.nbytes
        _write_by_bucket(writer, pa.concat_batches(held), n_buckets)


def _write_by_bucket(writer: pq.ParquetWriter, flat: pa.RecordBatch, n_buckets: int) -> None:
    bucket = _bucket_of(flat.column("query_id"), n_buckets)
    order = pa.array(np.argsort(bucket, kind="stable"))
    table = pa.Table.from_batches([flat.add_column(0, _BUCKET, pa.array(bucket)).take(order)])
    ends = np.cumsum(np.bincount(bucket, minlength=n_buckets)).tolist()
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        if start < end:
            writer.write_table(table.slice(start, end - start), row_group_size=end - start)


def _row_groups_by_bucket(spill: str) -> dict[int, list[int]]:
    by_bucket: dict[int, list[int]] = {}
    with open_columns(spill) as stream:
        metadata = pq.read_metadata(stream)
        for i in range(metadata.num_row_groups):
            by_bucket.setdefault(metadata.row_group(i).column(0).statistics.min, []).append(i)
    return by_bucket


def _read_bucket(row_groups: Mapping[str, Sequence[int]]) -> pa.Table:
    """One bucket's rows in the order of files and rows, in the form of `rows.flat_batch`."""
    tables = []
    for spill, numbers in row_groups.items():
        with open_columns(spill) as stream:
            parquet = pq.ParquetFile(stream, pre_buffer=False)
            tables.append(parquet.read_row_groups(numbers, use_threads=False).drop_columns(_BUCKET))
    # Ranks are int32 in the spill files of earlier versions.
    return pa.concat_tables(tables, promote_options="permissive")


def _write_nested(stream: BinaryIO, bucket: pa.Table) -> None:
    """The second pass over one bucket."""
    pieces = map(group, _pieces(bucket))
    first = next(pieces)
    with pq.ParquetWriter(stream, _nested_table(first).schema, compression="zstd") as writer:
        for rows in chain([first], pieces):
            table = _nested_table(rows)
            pairs, size = max(1, rows.entries.num_rows), max(1, rows.entries.nbytes)
            per_group = min(table.num_rows * _ROW_GROUP_PAIRS // pairs, table.num_rows * _ROW_GROUP_BYTES // size)
            writer.write_table(table, row_group_size=max(1, per_group))


def _pieces(bucket: pa.Table) -> Iterator[pa.RecordBatch]:
    """A bucket's rows sorted by query, as a rule in one piece, else in pieces of whole queries that Arrow can hold."""
    query = _queries(bucket["query_id"])
    sizes = np.zeros(query.max(initial=0) + 1)
    if bucket.nbytes > arrays.MOST_BYTES:
        sizes = np.bincount(query, weights=_row_bytes(bucket))
    for start, stop in pairwise(_cuts(sizes)):
        here = (query >= start) & (query < stop)
        piece = bucket if here.all() else bucket.filter(pa.array(here))
        if sizes[start:stop].sum() > arrays.MOST_BYTES:  # a query by itself
            yield _too_large(piece)
        else:
            flat = pa.concat_batches([pa.RecordBatch.from_pylist([], piece.schema), *piece.to_batches()])
            yield flat.take(pa.array(np.argsort(query[here], kind="stable")))


def _queries(ids: pa.ChunkedArray) -> NDArray[np.int64]:
    """The number of each row's query, counted as ids appear; a row without a usable id is a query by itself."""
    # In one piece, since dictionaries with nulls cannot be unified; large, since ids may have more than 2 GiB together.
    encoded = ids.cast(pa.large_binary()).combine_chunks().dictionary_encode(null_encoding="encode")
    codes = encoded.indices.to_numpy().astype(np.int64)
    usable = np.concatenate([np.zeros(0, np.bool_), *(usable_ids(chunk) for chunk in ids.chunks)])
    order = np.argsort(codes, kind="stable")
    starts = np.diff(codes[order], prepend=-1).astype(np.bool_) | ~usable[order]
    query = np.empty(len(codes), np.int64)
    query[order] = np.cumsum(starts) - 1
    return query


def _row_bytes(bucket: pa.Table) -> NDArray[np.int64]:
    """Bytes of each row's values that have offsets, int64 [rows]."""
    return np.concatenate(
        [
            np.diff(sum(bytes_before(column, np.arange(batch.num_rows + 1)) for column in batch.columns))
            for batch in bucket.to_batches()
        ]
    )


def _cuts(sizes: NDArray[np.float64]) -> list[int]:
    """Where to cut queries of these sizes so that no piece is beyond the limit but for a query alone; 0 and the end."""
    cuts, held = [0], 0.0
    for place, size in enumerate(sizes.tolist()):
        if place > cuts[-1] and held + size > arrays.MOST_BYTES:
            cuts.append(place)
            held = 0.0
        held += size
    return [*cuts, len(sizes)]


def _too_large(rows: pa.Table) -> pa.RecordBatch:
    """What stands for a query's rows."""
    kept = {name.removeprefix(KEEP): rows.schema.field(name).type for name in kept_names(rows)}
    path, row = (rows[name][0].as_py() for name in ("source_file", "source_row"))
    return lost(Columns("flat", {}, kept, kept_candidate=tuple(kept)), path, row, rows.num_rows, TOO_LARGE)


def _nested_table(rows: Rows) -> pa.Table:
    """Rows in the nested layout, with what they remember of their origin in fields of the job's own."""
    inner = {_outer_name(name): rows.entries.column(name) for name in rows.entries.schema.names if name != "missing"}
    # What is of the query is to be kept from there.
    inner = {name: array for name, array in inner.items() if name not in ("query", "instruction")}
    outer = {_outer_name(name): rows.queries.column(name) for name in rows.queries.schema.names}
    offsets = pa.array(np.concatenate([[0], np.cumsum(rows.n_entries)]), pa.int32())
    entries = pa.StructArray.from_arrays(list(inner.values()), names=list(inner))
    outer["candidates"] = pa.ListArray.from_arrays(offsets, entries)
    return pa.table(outer).replace_schema_metadata({REGROUPED: b"1"})


def _outer_name(name: str) -> str:
    return INTERNAL + name if name in _OWN else name.removeprefix(KEEP)
