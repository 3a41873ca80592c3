"""One form for what was read, whatever the layout: queries, and the entries of their candidate lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.input.arrays import as_type, decodable, nulls, objects, run_starts
from transforms.input.columns import INTERNAL, Columns
from transforms.input.kept import as_kept
from transforms.schema import PAIRS, Reason

SOURCE = PAIRS.field("source_file").type
UNREADABLE: Reason = "unreadable"
# Columns that are carried to the output have this before their names, so that they meet none of the others.
KEEP = "keep."

_FROM_INPUT = {"query_id", "query", "instruction", "doc_id", "text", "title", "score", "rank"}
_ORIGIN = {"fault": pa.string(), "detail": pa.string(), "source_file": SOURCE, "source_row": pa.int64()}
QUERY_FIELDS = {
    "query_id": pa.string(),
    "query": pa.string(),
    "instruction": pa.string(),
    "n_candidates": pa.int32(),
    **_ORIGIN,
}
ENTRY_FIELDS = {
    "doc_id": pa.string(),
    "text": pa.string(),
    "title": pa.string(),
    "score": pa.float64(),
    "rank": pa.int64(),
    "missing": pa.bool_(),
    **_ORIGIN,
}


@dataclass(frozen=True)
class Rows:
    """Whole queries as read, faults and all.

    Attributes:
        queries: QUERY_FIELDS and kept columns. n_candidates is null where the list is. A `fault`, a word of
            `schema.REASONS`, is one that reading has found already.
        entries: ENTRY_FIELDS and kept columns: the lists' entries, one list after the other. `missing` marks null
            entries. A `fault` concerns the entry alone.
        n_entries: how many of the entries each query has, int64 [queries].
    """

    queries: pa.RecordBatch
    entries: pa.RecordBatch
    n_entries: NDArray[np.int64]


def kept_names(batch: pa.RecordBatch | pa.Table) -> list[str]:
    return [name for name in batch.schema.names if name.startswith(KEEP)]


def nested_rows(batch: pa.RecordBatch, columns: Columns, path: str, first_row: int) -> Rows:
    """Rows of a batch in the nested layout that starts with row `first_row` of the file `path`."""
    n = batch.num_rows
    lists = batch.column("candidates")
    if pa.types.is_null(lists.type):
        lists = lists.cast(pa.list_(pa.null()))
    # Not cast to another kind of list: pyarrow 20 to 26 cut a field of Null type in its structs to the number of lists.
    lengths = pc.list_value_length(lists).cast(pa.int32())
    n_entries = lengths.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    items = lists.flatten()
    if columns.prefix:
        fields = dict(zip((field.name for field in items.type), items.flatten(), strict=True))
    else:
        fields = dict.fromkeys(columns.candidate, pa.nulls(len(items)))

    row = pa.array(np.arange(first_row, first_row + n))
    query_origin = {"source_file": source(path, n), "source_row": row, "n_candidates": lengths}
    entry_origin = {
        "source_file": source(path, len(items)),
        "source_row": row.take(pa.array(np.repeat(np.arange(n), n_entries))),
        "missing": items.is_null(),
    }
    top = {name: batch.column(name) for name in columns.query}
    return Rows(
        _assemble(QUERY_FIELDS, query_origin, top, columns.kept_query_types, n),
        _assemble(ENTRY_FIELDS, entry_origin, fields, columns.kept_candidate_types, len(items)),
        n_entries,
    )


def flat_batch(batch: pa.RecordBatch, columns: Columns, path: str, first_row: int) -> pa.RecordBatch:
    """A batch of the flat layout with the fields of queries and entries side by side, one row per pair."""
    n = batch.num_rows
    read = {name: batch.column(name) for name in [*columns.query, *columns.candidate]}
    origin = {"source_file": source(path, n), "source_row": pa.array(np.arange(first_row, first_row + n))}
    return _assemble(QUERY_FIELDS | ENTRY_FIELDS, origin, read, columns.kept_candidate_types, n)


def lost(columns: Columns, path: str, row: int, pairs: int, detail: str) -> pa.RecordBatch:
    """What stands for pairs that cannot be read: one row in the form of `flat_batch`, at the first row that is lost."""
    arrays = {
        "fault": pa.array([UNREADABLE]),
        "detail": pa.array([detail]),
        "n_candidates": pa.array([pairs], pa.int32()),
        "source_file": source(path, 1),
        "source_row": pa.array([row]),
    }
    types = columns.kept_candidate_types
    kept = {name: pa.nulls(1, data_type) for name, data_type in types.items()}
    return _assemble(QUERY_FIELDS | ENTRY_FIELDS, arrays, kept, types, 1)


def lost_rows(columns: Columns, path: str, row: int, pairs: int, detail: str) -> Rows:
    """The same in the form of `Rows`."""
    rows = group(lost(columns, path, row, pairs, detail))
    types = columns.kept_query_types
    kept = {name: pa.nulls(1, data_type) for name, data_type in types.items()}
    arrays = dict(zip(rows.queries.schema.names, rows.queries.columns, strict=True))
    return Rows(_assemble(QUERY_FIELDS, arrays, kept, types, 1), rows.entries, rows.n_entries)


def group(flat: pa.RecordBatch) -> Rows:
    """Queries of rows in the form of `flat_batch`, each run of one query id a query.

    A query's text is the first that its rows give; rows that give none or another have a fault. So do rows with an
    instruction other than the first.
    """
    n = flat.num_rows
    starts = run_starts(flat.column("query_id"))
    run = np.cumsum(starts) - 1
    first = np.flatnonzero(starts)
    fault, detail = objects(flat.column("fault")), objects(flat.column("detail"))
    is_pair = fault == None  # noqa: E711 - element by element

    arrays = {name: flat.column(name).take(pa.array(first)) for name in QUERY_FIELDS}
    for name in ("query", "instruction"):
        column = flat.column(name)
        valid, bad = decodable(column)
        pick = _first_of_each(~nulls(valid), run, default=first)
        arrays[name] = column.take(pa.array(pick))
        codes = column.dictionary_encode().indices.fill_null(-1).to_numpy()
        other = ~nulls(column) & (codes != codes[pick][run])
        missing = nulls(column) if name == "query" else np.zeros(n, np.bool_)
        faults: dict[Reason, NDArray[np.bool_]] = {
            "null_query": missing,
            "invalid_utf8": bad,
            "conflicting_query": other,
        }
        for reason, hit in faults.items():
            new = hit & (fault == None)  # noqa: E711
            fault[new], detail[new] = reason, name
    entries = _with(flat.select([*ENTRY_FIELDS, *kept_names(flat)]), fault=fault, detail=detail)
    entries = entries if is_pair.all() else entries.filter(pa.array(is_pair))
    n_entries = np.bincount(run, weights=is_pair, minlength=len(first)).astype(np.int64)
    arrays["n_candidates"] = pc.coalesce(arrays["n_candidates"], pa.array(n_entries, pa.int32()))
    return Rows(_assemble(QUERY_FIELDS, arrays, {}, {}, len(first)), entries, n_entries)


def with_fault(rows: Rows, places: NDArray[np.int64], reason: Reason) -> Rows:
    """`rows` where the queries at `places` have a fault."""
    if not len(places):
        return rows
    fault = objects(rows.queries.column("fault"))
    fault[places] = reason
    return replace(rows, queries=_with(rows.queries, fault=fault))


def _first_of_each(hit: NDArray[np.bool_], run: NDArray[np.int64], default: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first place of each run where `hit` is set, else that of `default`."""
    places = np.flatnonzero(hit)
    runs, first = np.unique(run[places], return_index=True)
    result = default.copy()
    result[runs] = places[first]
    return result


def source(path: str, n: int) -> pa.DictionaryArray:
    """`path` n times."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([path]))


def _assemble(
    fields: Mapping[str, pa.DataType],
    known: Mapping[str, pa.Array],
    read: Mapping[str, pa.Array],
    kept: Mapping[str, pa.DataType],
    n: int,
) -> pa.RecordBatch:
    """The fields, from the input's columns where it has them, and the columns to keep.

    What is `known` of the rows is never taken from the input, whatever columns it has, unless the job wrote it there.
    """
    arrays = {name: array for name, array in read.items() if name in _FROM_INPUT}
    arrays |= known
    arrays |= {name.removeprefix(INTERNAL): array for name, array in read.items() if name.startswith(INTERNAL)}
    columns = {name: as_type(arrays[name], t) if name in arrays else pa.nulls(n, t) for name, t in fields.items()}
    columns |= {KEEP + name: as_kept(name, read[name], data_type) for name, data_type in kept.items()}
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def _with(batch: pa.RecordBatch, **columns: NDArray[np.object_]) -> pa.RecordBatch:
    for name, values in columns.items():
        i = batch.schema.get_field_index(name)
        batch = batch.set_column(i, name, pa.array(values, pa.string()))
    return batch
