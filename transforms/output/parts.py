"""The part files of a job: which are there, whether they are whole, and what their footers say."""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.base import files
from transforms.base.errors import UnavailableError, UserError, one_line
from transforms.base.json_text import sha256
from transforms.input.plan import Unit
from transforms.layout import (
    PARQUET,
    REJECTED_DIRECTORY,
    RERANKING,
    SCORED_DIRECTORY,
    part_files,
    part_numbers,
    row_group_of,
)
from transforms.schema import RECORD_KEY

_READ_AT_ONCE = 16


class Part(NamedTuple):
    """What a scored part's footer says of its shard.

    Attributes:
        counts: see `commit.count`.
        last: whether it is the last slice of its row group.
        retry: the retry that scored pairs of it again in vain, see `retry`; empty where there was none.
    """

    counts: Counter[str]
    last: bool
    retry: str = ""


class DamagedPartError(Exception):
    """A part of which not everything can be read, or that lacks its rejected rows."""


def part_path(output: str, directory: str, name: str) -> str:
    return files.join(output, directory, f"{name}{PARQUET}")


def committed(output: str, fingerprint: str | None = None, *, whole: Collection[str] | None = None) -> dict[str, Part]:
    """The shards that are done, by name in order of file, row group and slice.

    A part that cannot be read (a copy that was cut short, say) is not committed: nothing in it can be used, and the
    shard is to be scored again. The same holds if its rejected part is missing or damaged. A readable file that is no
    part of this job could be anybody's and is never replaced.

    Args:
        output: the job's directory.
        fingerprint: of the job; None takes the parts of any.
        whole: names of the parts that are known to be whole; the others are read from end to end, with the checksums
            of their pages where they have some. None to read no more than footers.

    Raises:
        UserError: a Parquet file in the directory of scored parts was not written by this job, or is a copy of a part.
    """
    names = part_names(output)
    rejected = set(files.list_names(files.join(output, REJECTED_DIRECTORY)))

    def read(name: str) -> Part | None:
        try:
            return read_part(output, name, fingerprint, rejected, end_to_end=whole is not None and name not in whole)
        except DamagedPartError as error:
            logging.getLogger(__name__).warning("%s; it counts as not written", error)
            return None

    with ThreadPoolExecutor(_READ_AT_ONCE) as pool:
        parts = list(pool.map(read, names))
    return {name: part for name, part in zip(names, parts, strict=True) if part is not None}


def part_names(output: str) -> list[str]:
    """The names of the scored parts, in order of file, row group and slice.

    Raises:
        UserError: there is a Parquet file among them that is none.
    """
    directory = files.join(output, SCORED_DIRECTORY)
    file_names = part_files(files.list_names(directory))
    for name in file_names:
        if not RERANKING.is_part(name):
            raise _foreign(files.join(directory, name))
    return sorted((name.removesuffix(PARQUET) for name in file_names), key=part_numbers)


def read_part(output: str, name: str, fingerprint: str | None, rejected: Collection[str], *, end_to_end: bool) -> Part:
    """What a part says of its shard.

    Args:
        output: the job's directory.
        name: of the part.
        fingerprint: of the job; None for any.
        rejected: names of the files of rejected rows that are there.
        end_to_end: read all of its pages, too.

    Raises:
        DamagedPartError: it cannot be read, or its rejected rows cannot.
        UserError: it is of another job, or a copy of another part.
    """
    path = part_path(output, SCORED_DIRECTORY, name)
    try:
        with files.open_columns(path) as stream:
            metadata = pq.read_metadata(stream).metadata or {}
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    if RECORD_KEY not in metadata:
        raise _foreign(path)
    try:
        record = json.loads(metadata[RECORD_KEY])
        part = Part(Counter(record["counts"]), record["last"], record.get("retry", ""))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from error
    if record.pop("digest", None) not in (None, sha256(record)):  # before what it says is believed
        raise DamagedPartError(f"{path} is damaged (its record is not as it was written)")
    if fingerprint is not None and record.get("job") != fingerprint:
        raise _foreign(path)
    if record.get("part", name) != name:
        raise UserError(f"{path} is a copy of {record['part']}{PARQUET}: move it out of the directory of scored parts")
    has_rejected = any(count.startswith("rejected_rows.") for count in part.counts)
    if has_rejected and f"{name}{PARQUET}" not in rejected:
        raise DamagedPartError(f"{path} lacks its part of rejected rows")
    if end_to_end:
        read_pages(path)
        if has_rejected:
            _check_rejected(part_path(output, REJECTED_DIRECTORY, name), part.counts)
    return part


def _check_rejected(path: str, counts: Mapping[str, int]) -> None:
    """Read a part of rejected rows from end to end.

    Args:
        path: of the part.
        counts: of its scored part.

    Raises:
        DamagedPartError: as `read_pages`; or the rows are not those that were counted.
    """
    read_pages(path)
    with files.open_columns(path) as stream:
        rows = pq.ParquetFile(stream).read(["query_id", "doc_id", "reason"], use_threads=False)
    counted = {name.partition(".")[2]: n for name, n in counts.items() if name.startswith("rejected_rows.")}
    if rows.num_columns < 3 or Counter(rows["reason"].to_pylist()) != counted:
        raise DamagedPartError(f"{path} has not the rows that its scored part counts")


def read_pages(path: str) -> None:
    """Read every page of a part, with its checksum where it has one.

    Raises:
        DamagedPartError: one cannot be read, or is not as it was written.
    """
    try:
        with files.open_columns(path) as stream:
            parquet = pq.ParquetFile(stream, page_checksum_verification=True)
            rows = sum(batch.num_rows for batch in parquet.iter_batches(use_threads=False))
            if rows != parquet.metadata.num_rows:  # a page's header, which has no checksum, says it is shorter
                raise pa.ArrowInvalid(f"{rows} rows in its pages, {parquet.metadata.num_rows} in its footer")
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _damaged(path: str, error: Exception) -> Exception:
    """That the file is damaged; not where a permission, a disk or a network fails, which says nothing about it."""
    if getattr(error, "errno", None):
        return UnavailableError(f"{path} cannot be read: {one_line(error)}; it is kept, the same command continues")
    return DamagedPartError(f"{path} is damaged ({one_line(error)})")


def _foreign(path: str) -> UserError:
    return UserError(f"{path} was not written by this job: move it out of the directory of scored parts")


def check_known(output: str, parts: Mapping[str, Part], units: Iterable[Unit]) -> None:
    """Make sure that every part is of a shard of the job, since all of them are counted and read.

    Args:
        output: the job's directory.
        parts: those that are committed.
        units: of the job's plan.

    Raises:
        UserError: one is of no unit, or lies after the last slice of its row group.
    """
    for name in unknown_parts(parts, {(unit.file.index, unit.row_group) for unit in units}):
        path = part_path(output, SCORED_DIRECTORY, name)
        raise UserError(f"{path} is of no shard of this job: move it out of the directory of scored parts")


def unknown_parts(parts: Mapping[str, Part], known: Container[tuple[int, int]]) -> Iterator[str]:
    """Names of the parts that are of no known (file, row group), or lie after the last slice of theirs."""
    last = _last_slices(parts)
    for name in parts:
        file, row_group, piece = part_numbers(name)
        if (file, row_group) not in known or piece > last.get((file, row_group), piece):
            yield name


def _last_slices(parts: Mapping[str, Part]) -> dict[tuple[int, int], int]:
    """(file, row group): the number of its last slice, where that is committed."""
    return {row_group_of(name): part_numbers(name)[2] for name, part in parts.items() if part.last}


def complete_row_groups(parts: Mapping[str, Part]) -> set[tuple[int, int]]:
    """(file, row group) of which every slice is committed, so that a resume need not read it at all."""
    slices: dict[tuple[int, int], set[int]] = defaultdict(set)
    for name in parts:
        file, row_group, piece = part_numbers(name)
        slices[file, row_group].add(piece)
    return {unit for unit, end in _last_slices(parts).items() if slices[unit].issuperset(range(end))}


def read_scored(output: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The committed scored parts, a table each, in the order of the input.

    Raises:
        UnavailableError: one is damaged.
    """
    for name in committed(output):
        yield scored_rows(output, name, columns)


def scored_rows(output: str, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A scored part's rows, all columns or some.

    Raises:
        UnavailableError: it is damaged.
    """
    path = part_path(output, SCORED_DIRECTORY, name)
    try:
        with files.open_columns(path) as stream:
            return pq.read_table(
                stream, columns=None if columns is None else list(columns), page_checksum_verification=True
            )
    except (pa.ArrowException, OSError) as error:
        raise UnavailableError(
            f"{path} cannot be read: {one_line(error)}; the job's command again scores a damaged part anew"
        ) from error
