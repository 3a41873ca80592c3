"""One file to one Parquet file, in bounded memory, under a name that says what it is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.base.errors import UserError
from transforms.base.files import (
    base_name,
    delete,
    delete_tree,
    identify,
    is_directory,
    join,
    list_names,
    open_input,
    write_atomically,
)
from transforms.base.json_text import sha256
from transforms.base.text import JSON_LINES, reading
from transforms.input.conversion import arrow, delimited, json_lines
from transforms.input.names import ColumnNames
from transforms.input.other_files import HEAD_BYTES, unpacked
from transforms.input.parquet import SOURCE
from transforms.layout import PARQUET

Reader = Callable[[str, ColumnNames], Iterator[pa.RecordBatch]]
_TSV: Reader = partial(delimited.read, delimiter="\t")
# How a file's name ends, less .gz -> what reads it.
READERS: dict[str, Reader] = {
    ".csv": partial(delimited.read, delimiter=","),
    ".tsv": _TSV,
    **dict.fromkeys(JSON_LINES, json_lines.read),
}
# A row group is read by one reader in sequence.
_ROW_GROUP_BYTES = 32 << 20
_MADE = re.compile("-[0-9a-f]{8}-[0-9a-f]{16}")  # in the names of what is made, see `place`


def reader_of(path: str, names: ColumnNames) -> Reader | None:
    """What reads a file that is to be converted; None for Parquet as it should be, and for what is unknown."""
    name = path.removesuffix(".gz").lower()
    known = next((reader for end, reader in READERS.items() if name.endswith(end)), None)
    if known is not None:
        return known
    if name.endswith(PARQUET):
        return arrow.read if names.columns else None
    with reading(path), open_input(path) as stream:
        head = stream.read(HEAD_BYTES)
    if head.startswith(b"PAR1"):
        return arrow.read if names.columns else None
    line = unpacked(head).partition(b"\n")[0]
    return _TSV if len(line.split(b"\t")) == len(delimited.MS_MARCO) else None


def convert(path: str, folder: str, names: ColumnNames, known: Iterable[str] = ()) -> str:
    """Converts a file that is not converted yet, and returns the path of the Parquet file.

    Args:
        path: of the file.
        folder: for the Parquet files.
        names: of the columns.
        known: the input files of the job that is continued.

    Raises:
        UserError: the file cannot be read or is not what it should be, or has changed since the job began.
    """
    reader = reader_of(path, names)
    if reader is None:
        return path
    with reading(path):
        content = identify(path)
    target = place(path, folder, [dict(names.columns), names.keep], content, known) + PARQUET
    with reading(target):
        made = base_name(target) in list_names(folder)
    if not made:
        write_atomically(target, partial(write, path=path, batches=reader(path, names)))
    return target


def place(path: str, folder: str, how: object, content: object, known: Iterable[str]) -> str:
    """Where what is made of a file stands in the folder, under a name that says how, and of which content.

    Args:
        path: of the file.
        folder: for all that is made.
        how: what else decides what is made of it, as JSON can hold it.
        content: what identifies the bytes that are read, likewise.
        known: the input files of the job that is continued.

    Raises:
        UserError: the job began with other content.
    """
    start = stem(path, folder, how)
    made = start + sha256(content)[:16]
    if any(other.startswith(start) and not other.startswith(made) for other in known):
        raise UserError(f"{path}: has changed since the job first read it; give it a new --output, or --overwrite")
    return made


def stem(path: str, folder: str, how: object) -> str:
    """What the paths of all begin with that is made of a file so, whatever its content was; arguments as of `place`."""
    return join(folder, f"{base_name(path)}-{sha256([path, how])[:8]}-")


def write(stream: BinaryIO, path: str, batches: Iterable[pa.RecordBatch]) -> None:
    """Batches of one schema as Parquet that says which file they are from."""
    groups = _row_groups(batches)
    first = next(groups)  # each reader gives the schema, if no rows
    schema = first.schema.with_metadata({SOURCE: path})
    with pq.ParquetWriter(stream, schema, compression="zstd", write_page_checksum=True) as writer:
        for group in chain([first], groups):
            writer.write_table(group.replace_schema_metadata(schema.metadata), row_group_size=max(1, len(group)))


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= _ROW_GROUP_BYTES:
            yield pa.Table.from_batches(held)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held)


def sweep(folder: str, used: Iterable[str]) -> None:
    """Deletes what earlier commands made in the folder and the job does not read, unfinished files among it."""
    used_names = {path.removeprefix(join(folder, "")).partition("/")[0] for path in used}
    for name in list_names(folder):
        if name not in used_names and _MADE.search(name):
            path = join(folder, name)
            (delete_tree if is_directory(path) else _delete_one)(path)


def _delete_one(path: str) -> None:
    delete([path])
