"""The planning pass: one look at the query ids of all input, so that each part can be read on its own afterwards.

It reads that column alone. What it finds are the units of reading, each of whole queries, and the query ids that come
up again. A resume loads what was found instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from transforms.base.files import exists, join, open_columns, write_atomically
from transforms.base.json_text import sha256
from transforms.input.arrays import as_type, run_starts, usable_ids
from transforms.input.inputs import InputFile
from transforms.input.parquet import DamagedError, batches, open_parquet
from transforms.input.repeats import Repeats, finding_repeats
from transforms.layout import PLAN, part_name


@dataclass(frozen=True)
class Unit:
    """Rows that one reader reads in sequence: whole queries of one file.

    In the nested layout a unit is a row group; in the flat one the rows of the queries that start in a row group, the
    last of which may end in a later one.

    Attributes:
        row_group: the row group in which the unit starts; part of its shards' names.
        row_group_start: the row with which that row group starts.
        start, stop: rows of the file, half-open.
        duplicates: rows of the file whose query id has been there before (nested layout).
        damage: why the row group's query ids cannot be read, if they cannot.
    """

    file: InputFile
    row_group: int
    row_group_start: int
    start: int
    stop: int
    duplicates: tuple[int, ...] = ()
    damage: str | None = None

    @property
    def name(self) -> str:
        """What the names of its shards begin with."""
        return part_name(self.file.index, self.row_group)


@dataclass(frozen=True)
class Plan:
    """How the input is read.

    Attributes:
        units: in the order of files and rows; no two share a row, and all rows of the input are in one.
        contiguous: whether the rows of each query stand together. If not, the units are of no use before the input is
            regrouped.
        scattered: where they do not, the file and the id of the first query that comes up again; not stored.
    """

    units: tuple[Unit, ...]
    contiguous: bool
    scattered: tuple[str, str] | None = None


@dataclass(frozen=True)
class _RowGroup:
    """What the pass found of a row group: `place` counts rows over all files; `boundary` is the file's row with which
    the first query begins that does not continue from the row group before, None if there is none."""

    file: InputFile
    index: int
    place: int
    start: int
    stop: int
    boundary: int | None
    damage: str | None


def plan(files: Sequence[InputFile]) -> Plan:
    """Reads the query ids of all files, in their order.

    Raises:
        UserError: a file is another one than when it was inspected.
        OSError: a filesystem failed.
    """
    with finding_repeats() as repeats:
        row_groups = list(_row_groups(files, repeats))
        again = repeats.find()
    if len(again) and any(file.layout == "flat" for file in files):
        return Plan((), contiguous=False, scattered=_id_at(row_groups, int(again[0])))
    of_files = groupby(row_groups, key=lambda row_group: row_group.file.index)
    return Plan(tuple(unit for _, group in of_files for unit in _units(list(group), again)), contiguous=True)


def _id_at(row_groups: Sequence[_RowGroup], place: int) -> tuple[str, str]:
    """The file and the query id of a row, counted over all files."""
    at = next(
        row_group
        for row_group in row_groups
        if row_group.place <= place < row_group.place + row_group.stop - row_group.start
    )
    row = place - at.place
    with open_parquet(at.file.path, at.file.footer_hash) as parquet:
        for batch in batches(parquet, at.index, ["query_id"]):
            if row < batch.num_rows:
                return at.file.path, str(batch.column("query_id")[row].as_py())
            row -= batch.num_rows
    raise AssertionError("the row was there a moment ago")


def save_plan(output: str, files: Sequence[InputFile], made: Plan) -> None:
    """Commits the plan `made` of `files` in the directory `output`."""
    columns = {name: [getattr(unit, name) for unit in made.units] for name in _STORED.names if name != "file"}
    columns["file"] = [unit.file.index for unit in made.units]
    table = pa.table(columns, schema=_STORED.with_metadata({"contiguous": str(made.contiguous), "of": _digest(files)}))
    write_atomically(join(output, PLAN), lambda stream: pq.write_table(table, stream))


def load_plan(output: str, files: Sequence[InputFile]) -> Plan | None:
    """The plan that was committed in `output`; None if there is none, it is of other files than these, or damaged."""
    table = _stored(output)
    if table is None:
        return None
    metadata = table.schema.metadata or {}
    if metadata.get(b"of", b"").decode() != _digest(files):
        return None
    by_index = {file.index: file for file in files}
    rows = table.to_pylist()
    units = (Unit(**row | {"file": by_index[row["file"]], "duplicates": tuple(row["duplicates"])}) for row in rows)
    return Plan(tuple(units), contiguous=metadata[b"contiguous"] == b"True")


_STORED = pa.schema(
    [
        pa.field("file", pa.int64()),
        pa.field("row_group", pa.int64()),
        pa.field("row_group_start", pa.int64()),
        pa.field("start", pa.int64()),
        pa.field("stop", pa.int64()),
        pa.field("duplicates", pa.list_(pa.int64())),
        pa.field("damage", pa.string()),
    ]
)


def planned_row_groups(output: str) -> set[tuple[int, int]]:
    """(file, row group) of the units of the plan that was committed in `output`; none where it has no such list, as
    for input that was regrouped, or where it is damaged."""
    table = _stored(output)
    if table is None:
        return set()
    return set(zip(table["file"].to_pylist(), table["row_group"].to_pylist(), strict=True))


def _stored(output: str) -> pa.Table | None:
    """The table that was committed in `output`; None if there is none, or it is damaged."""
    path = join(output, PLAN)
    if not exists(path):
        return None
    try:
        with open_columns(path) as stream:
            return pq.read_table(stream)
    except (pa.ArrowInvalid, OSError):  # the pass over the input makes it anew
        return None


def _digest(files: Sequence[InputFile]) -> str:
    return sha256([astuple(file) for file in files])


def _row_groups(files: Iterable[InputFile], repeats: Repeats) -> Iterator[_RowGroup]:
    place = 0
    for file in files:
        if file.rows == 0:
            continue
        start, previous = 0, None
        with open_parquet(file.path, file.footer_hash) as parquet:
            for index in range(parquet.metadata.num_row_groups):
                stop = start + parquet.metadata.row_group(index).num_rows
                row, boundary, damage = start, None, None
                try:
                    for batch in batches(parquet, index, ["query_id"]):
                        ids = as_type(batch.column("query_id"), pa.string())
                        starts = run_starts(ids, previous) if file.layout == "flat" else np.ones(len(ids), np.bool_)
                        if boundary is None and starts.any():
                            boundary = row + int(starts.argmax())
                        repeats.add(place + row - start, ids, starts & usable_ids(ids))
                        row, previous = row + len(ids), ids[-1]
                except DamagedError as error:
                    boundary, damage, previous = start, str(error), None
                    repeats.forget(place, place + stop - start)
                if stop > start:
                    yield _RowGroup(file, index, place, start, stop, boundary, damage)
                place, start = place + stop - start, stop


def _units(row_groups: Sequence[_RowGroup], again: NDArray[np.int64]) -> Iterator[Unit]:
    """The units of one file."""
    starts = [(row_group, row_group.boundary) for row_group in row_groups if row_group.boundary is not None]
    stops = [*(boundary for _, boundary in starts[1:]), row_groups[-1].stop]
    for (row_group, start), stop in zip(starts, stops, strict=True):
        first, after = np.searchsorted(again, [row_group.place, row_group.place + row_group.stop - row_group.start])
        duplicates = tuple((again[first:after] - row_group.place + row_group.start).tolist())
        yield Unit(row_group.file, row_group.index, row_group.start, start, stop, duplicates, row_group.damage)
