"""Reading Parquet a little at a time; damage, types that cannot be read and failing filesystems are distinguished."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache, partial
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.base.errors import UserError, one_line
from transforms.base.files import open_columns, open_input, read_tail
from transforms.input.other_files import HEAD_BYTES, advice

# Each column chunk is read through a buffer of this size, so that a large row group is never in memory whole.
_BUFFER_BYTES = 1 << 20
# A batch holds about so much: large enough to spread its fixed cost, small beside a shard.
_BATCH_BYTES = 8 << 20
_BATCH_VALUES = 4096


# Of a query that Arrow's strings cannot hold.
TOO_LARGE = "the query and its documents hold more than 2 GiB; shorten them, or keep fewer columns"

# The key under which writers note Arrow's types; the other one is as long and means nothing.
_NOTE, _NO_NOTE = b"ARROW:schema", b"ARROW-schema"
# Metadata key of files that are made of a user's file in another form: that file's path.
SOURCE = b"rerank.source"


class Footer(NamedTuple):
    """What the end of a Parquet file says of it."""

    content: bytes  # of the footer, its length and the mark at its end
    metadata: pq.FileMetaData
    hash: str  # hexadecimal SHA-256 of the footer's own bytes
    size: int  # bytes of the file
    tail: bytes  # its last TAIL_BYTES


class ParquetInput:
    """A Parquet file, open."""

    def __init__(self, path: str, stream: BinaryIO | pa.NativeFile, footer: Footer) -> None:
        """Take what it is read by.

        Args:
            path: of the file.
            stream: its bytes.
            footer: its end, which is not read again.
        """
        self.path = path
        self.metadata = footer.metadata
        self._footer = footer
        # Timestamps of Impala and old Sparks reach beyond what nanoseconds in int64 can hold.
        self._open = partial(
            pq.ParquetFile,
            stream,
            buffer_size=_BUFFER_BYTES,
            pre_buffer=False,
            page_checksum_verification=True,
            coerce_int96_timestamp_unit="us",
        )

    @property
    def source(self) -> str:
        """The path of the user's file: this one, or what it is made of."""
        source: bytes | None = (self.metadata.metadata or {}).get(SOURCE)
        return self.path if source is None else source.decode()

    @cached_property
    def noted(self) -> pq.ParquetFile:
        """Reads it in the types that its writer noted for Arrow."""
        return self._open(metadata=self.metadata)

    @cached_property
    def plain(self) -> pq.ParquetFile:
        """Reads it in Parquet's own types, as pyarrow before 26 must where lists of a fixed size hold nulls."""
        return self._unnoted()

    @cached_property
    def large(self) -> pq.ParquetFile:
        """Reads it likewise, with as much text in a list as there is; with other strings pyarrow reads no more of a
        row group from a list that holds more than 2 GiB on."""
        return self._unnoted(binary_type=pa.large_binary())

    def _unnoted(self, **options: Any) -> pq.ParquetFile:
        footer = self._footer.content.replace(_NOTE, _NO_NOTE)
        return self._open(metadata=pq.read_metadata(pa.BufferReader(footer)), **options)


def read_footer(path: str) -> Footer:
    """Reads the footer alone.

    Raises:
        UserError: the file is not Parquet.
        OSError: the file cannot be read.
    """
    with open_input(path) as stream:
        size, tail = read_tail(stream)
        end = tail
        length = int.from_bytes(tail[-8:-4], "little") + 8
        if tail[-4:] != b"PAR1" or length > size:
            stream.seek(0)
            more = advice(path, stream.read(HEAD_BYTES))
            raise UserError(f"{path}: not a Parquet file, or one cut short: it does not end in a footer{more}")
        if length > len(tail):
            stream.seek(size - length)
            end = stream.read()
    try:
        metadata = pq.read_metadata(pa.BufferReader(end[-length:]))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: its Parquet footer cannot be read: {one_line(error)}") from error
    return Footer(end[-length:], metadata, hashlib.sha256(end[-length:-8]).hexdigest(), size, tail)


def of_footer(path: str, footer: Footer) -> ParquetInput:
    """The file as far as its footer describes it: for its types, not to read it."""
    return ParquetInput(path, pa.BufferReader(b""), footer)


@lru_cache(maxsize=16)
def _expected(path: str, footer_hash: str) -> Footer:
    # Many units are read from one file, and a footer that lists many row groups takes long to parse.
    footer = read_footer(path)
    if footer.hash != footer_hash:
        raise _changed(path)
    return footer


def _changed(path: str) -> UserError:
    return UserError(f"{path}: has changed since the job first inspected it; give it a new --output, or --overwrite")


@contextmanager
def open_parquet(path: str, footer_hash: str) -> Iterator[ParquetInput]:
    """The file as it was when its footer had this hash.

    Raises:
        UserError: it is another file now, or gone.
        OSError: the file cannot be read.
    """
    try:
        footer = _expected(path, footer_hash)
        stream = open_columns(path)
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: has gone since the job first inspected it; put it back, and the same command continues"
        ) from error
    with stream:
        if read_tail(stream) != (footer.size, footer.tail):
            raise _changed(path)
        yield ParquetInput(path, stream, footer)


class DamagedError(Exception):
    """A row group cannot be decoded any further; the message is one line."""


def batches(
    parquet: ParquetInput, row_group: int, columns: Sequence[str], plain: bool = False
) -> Iterator[pa.RecordBatch]:
    """The row group's rows in order, of the columns (or leaves) named, in batches sized by the row group's averages.

    Where rows cannot be decoded in the types that the writer noted for Arrow, they come in Parquet's own types: a
    dictionary with more values than its type counts, say. What those cannot decode either is damaged. Where a list
    holds more than 2 GiB of text, strings come as large ones.

    Args:
        parquet: the file.
        row_group: its number.
        columns: paths.
        plain: read in Parquet's own types from the first row.

    Raises:
        DamagedError: the rows that follow cannot be decoded, and never will be.
        OSError: the filesystem failed; another attempt may succeed.
    """
    rows = _batch_rows(parquet.metadata.row_group(row_group), columns)
    done = 0
    for types in ("plain", "large") if plain else ("noted", "plain", "large"):
        start = 0
        try:
            reader: pq.ParquetFile = getattr(parquet, types)
            for batch in reader.iter_batches(rows, row_groups=[row_group], columns=list(columns), use_threads=False):
                new = batch.slice(max(done - start, 0))
                start += batch.num_rows
                if new.num_rows:
                    done = start
                    yield new
            return
        except Exception as error:
            if not _may_be_damage(error):
                raise
            # "Nested data conversions not implemented for chunked array outputs": such a list
            is_large = isinstance(error, pa.ArrowNotImplementedError) and "chunked array" in str(error)
            if types == "large" or (types == "plain" and not is_large):
                raise DamagedError(one_line(error)) from error


def _batch_rows(row_group: pq.RowGroupMetaData, columns: Sequence[str]) -> int:
    """Rows of a batch of some 8 MiB, and 4,096 values of its longest column, by the row group's averages."""
    chunks = [row_group.column(i) for i in range(row_group.num_columns)]
    chunks = [chunk for chunk in chunks if any(f"{chunk.path_in_schema}.".startswith(f"{name}.") for name in columns)]
    size = sum(int(chunk.total_uncompressed_size) for chunk in chunks)
    values = max((int(chunk.num_values) for chunk in chunks), default=0)
    rows = int(row_group.num_rows)
    return max(1, min(_BATCH_BYTES * rows // max(size, 1), _BATCH_VALUES * rows // max(values, 1)))


def _may_be_damage(error: Exception) -> bool:
    # Arrow reports damaged pages as its own exceptions or as a bare OSError without errno. All else (a connection that
    # broke, a file that is gone, no memory) may go well the next time.
    if isinstance(error, pa.ArrowException):
        return not isinstance(error, pa.ArrowMemoryError | pa.ArrowCancelled)
    return type(error) is OSError and error.errno is None
