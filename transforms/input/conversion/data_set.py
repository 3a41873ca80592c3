"""Data sets that the `datasets` library opens, on the hub or in a folder, streamed into the job's Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import chain
from typing import Any

import pyarrow as pa

from transforms.base import files, hub
from transforms.base.errors import UserError, one_line
from transforms.base.words import listed
from transforms.input.conversion.arrow import KnownColumns
from transforms.input.conversion.convert import place, stem, write
from transforms.input.data_sets import SAVED, DataSetReference
from transforms.input.names import ColumnNames
from transforms.layout import PARQUET

_ROWS = 1000


def convert_data_set(data: DataSetReference, folder: str, names: ColumnNames, known: Iterable[str] = ()) -> str:
    """Converts a data set that is not converted yet, and returns the path of the Parquet file.

    One on the hub is read at one commit: a job that is continued reads no other, and does not ask again.

    Args:
        data: the set.
        folder: for the Parquet files.
        names: of the columns.
        known: the input files of the job that is continued.

    Raises:
        UserError: it is not there, lacks a column, or has changed since the job began.
        UnavailableError: the hub does not answer as it should.
    """
    how = [list(data), dict(names.columns), list(names.keep)]
    present = files.list_names(folder)
    start = stem(data.name, folder, how)
    made = next((path for path in known if path.startswith(start)), None)
    if data.on_hub and made is not None and files.base_name(made) in present:
        return made
    commit = hub.commit_of(data.on_hub, data.revision) if data.on_hub else None
    target = place(data.name, folder, how, commit or _content(data.name), known) + PARQUET
    if files.base_name(target) not in present:
        with _reported(data):
            rows, split = _open(data, commit)
        source = data.name + (f"@{commit}" if commit else "") + (f", split {split}" if split else "")
        files.write_atomically(target, partial(write, path=source, batches=_batches(data, rows, names)))
    return target


def _content(folder: str) -> list[tuple[str, int, str]]:
    if not files.is_directory(folder):
        if files.exists(folder):
            raise UserError(f"--dataset {folder}: is a file; give it to --input")
        raise UserError(f"--dataset {folder}: no such folder; give one, or hf:OWNER/NAME for a data set on the hub")
    return [(path.removeprefix(folder), *files.identify(path)) for path in files.walk(folder)]


def _open(data: DataSetReference, commit: str | None) -> tuple[Any, str | None]:
    """The rows of one split, and its name."""
    import datasets  # takes seconds

    datasets.disable_progress_bars()
    datasets.utils.logging.set_verbosity_error()
    if not data.on_hub and not set(files.list_names(data.name)).isdisjoint(SAVED):
        loaded = datasets.load_from_disk(data.name)
    else:
        loaded = datasets.load_dataset(data.on_hub or data.name, data.config, revision=commit, streaming=True)
    if not isinstance(loaded, dict):
        return loaded, None
    split = data.split or (next(iter(loaded)) if len(loaded) == 1 else None)
    if split not in loaded:
        what = f"no split {data.split!r}, but" if data.split else "several splits,"
        raise UserError(f"--dataset {data.name}: has {what} {listed(list(loaded))}; give one, {data.name},split=NAME")
    return loaded[split], split


def _batches(data: DataSetReference, rows: Any, names: ColumnNames) -> Iterator[pa.RecordBatch]:
    with _reported(data):
        tables = rows.with_format("arrow").iter(batch_size=_ROWS)
        first = next(tables, None)
        if first is None:
            raise UserError(f"--dataset {data.name}: has no rows; give another split or set")
        known = KnownColumns(first.schema, names, f"--dataset {data.name}")
        for table in chain([first], tables):
            yield from map(known.of, table.cast(first.schema).to_batches())


@contextmanager
def _reported(data: DataSetReference) -> Iterator[None]:
    """While the library opens or reads it: each failure a line."""
    # The library has errors of its own, and those of all that it reads with; on the hub most are of the network.
    from datasets.exceptions import DataFilesNotFoundError  # takes seconds

    wrong = (ValueError, DataFilesNotFoundError) if data.on_hub else Exception
    with hub.asking(f"dataset {data.on_hub}") if data.on_hub else nullcontext():
        try:
            yield
        except UserError:
            raise
        except wrong as error:
            raise UserError(
                f"--dataset {data.name}: cannot be read ({one_line(error)}); check it, its config and its split"
            ) from error
