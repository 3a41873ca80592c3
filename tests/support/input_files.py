"""Input files for tests, and what reading them gives."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.input.arrays import is_text
from transforms.input.inputs import inspect
from transforms.input.plan import plan
from transforms.input.reader import read_shards
from transforms.schema import Shard

FIELDS = {
    "query_id": pa.string(),
    "query": pa.string(),
    "instruction": pa.string(),
    "doc_id": pa.string(),
    "text": pa.string(),
    "title": pa.string(),
    "score": pa.float64(),
    "rank": pa.int32(),
}

Row = Mapping[str, Any]


def candidate(doc_id: Any, text: Any = "text", **more: Any) -> dict[str, Any]:
    return {"doc_id": doc_id, "text": text, **more}


def query(query_id: Any, candidates: Any, text: Any = "query", **more: Any) -> dict[str, Any]:
    return {"query_id": query_id, "query": text, "candidates": candidates, **more}


def pair(query_id: Any, doc_id: Any, text: Any = "text", **more: Any) -> dict[str, Any]:
    return {"query_id": query_id, "query": "query", "doc_id": doc_id, "text": text, **more}


def nested_table(rows: Sequence[Row], **types: pa.DataType) -> pa.Table:
    """One row per query; optional columns are there if a row has them. `types` replaces types and adds columns."""
    entries = [entry for row in rows for entry in row["candidates"] or [] if entry is not None]
    fields = FIELDS | types
    inner = [(n, t) for n, t in fields.items() if n in ("doc_id", "text") or any(n in entry for entry in entries)]
    outer = [(n, t) for n, t in fields.items() if n in ("query_id", "query") or any(n in row for row in rows)]
    return _table(rows, [*outer, ("candidates", pa.list_(pa.struct(inner)))])


def flat_table(rows: Sequence[Row], **types: pa.DataType) -> pa.Table:
    """One row per pair, likewise."""
    required = ("query_id", "query", "doc_id", "text")
    fields = FIELDS | types
    return _table(rows, [(n, t) for n, t in fields.items() if n in required or any(n in row for row in rows)])


def _table(rows: Sequence[Row], fields: Sequence[tuple[str, pa.DataType]]) -> pa.Table:
    """Strings may be given as bytes, which then stand there as they are, valid UTF-8 or not."""
    arrays = {
        name: pa.array([row.get(name) for row in rows], _as_bytes(data_type)).cast(data_type, safe=False)
        for name, data_type in fields
    }
    return pa.table(arrays)


def _as_bytes(data_type: pa.DataType) -> pa.DataType:
    if pa.types.is_list(data_type):
        return pa.list_(_as_bytes(data_type.value_type))
    if pa.types.is_struct(data_type):
        return pa.struct([(field.name, _as_bytes(field.type)) for field in data_type])
    return pa.binary() if is_text(data_type) else data_type


def write(path: Path, table: pa.Table, **options: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return str(path)


def write_noted(path: Path, table: pa.Table, noted: pa.Schema, row_group_size: int | None = None) -> str:
    """Writes a table with a note of other types for Arrow, as other programs do."""
    note = base64.b64encode(noted.serialize().to_pybytes())
    with pq.ParquetWriter(path, table.schema, store_schema=False) as writer:
        writer.write_table(table, row_group_size)
        writer.add_key_value_metadata({"ARROW:schema": note})
    return str(path)


def damage(path: str, row_group: int, column: str) -> None:
    """Overwrites the head of a column's first page, the dictionary if it has one."""
    metadata = pq.read_metadata(path)
    chunks = [metadata.row_group(row_group).column(i) for i in range(metadata.num_columns)]
    (chunk,) = (chunk for chunk in chunks if chunk.path_in_schema == column)
    with Path(path).open("r+b") as stream:
        stream.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
        stream.write(b"\xff" * 16)


def read(*paths: str, keep_columns: Sequence[str] = (), **options: Any) -> list[Shard]:
    """All shards of some files, read as a worker elsewhere would."""
    made = plan(inspect(paths, keep_columns))
    assert made.contiguous
    units = pickle.loads(pickle.dumps(made.units))
    shards = [shard for unit in units for shard in read_shards(unit, keep_columns=keep_columns, **options)]
    return [pickle.loads(pickle.dumps(shard)) for shard in shards]


def pairs(shards: Sequence[Shard], *columns: str) -> list[tuple[Any, ...]]:
    """Each pair's query id and document id, and more of its columns."""
    result = []
    for shard in shards:
        rows = iter(shard.pairs.to_pylist())
        for row in shard.queries.to_pylist():
            for _ in range(row["n_pairs"]):
                of_pair = next(rows)
                result.append((row["query_id"], of_pair["doc_id"], *(of_pair[column] for column in columns)))
        assert next(rows, None) is None
    return result


def rejected(shards: Sequence[Shard], *columns: str) -> list[tuple[Any, ...]]:
    """Each rejected row's reason, and more of its columns."""
    return [tuple(row[c] for c in ("reason", *columns)) for shard in shards for row in shard.rejected.to_pylist()]


def count(shards: Sequence[Shard], name: str) -> int:
    return sum(shard.counts[name] for shard in shards)


def read_nested(folder: Path, *rows: Any, **options: Any) -> list[Shard]:
    """The shards of a file of these rows of the nested layout."""
    return read(write(folder / "nested.parquet", nested_table(rows)), **options)


def read_flat(folder: Path, *rows: Any, **options: Any) -> list[Shard]:
    """Likewise of the flat layout."""
    return read(write(folder / "flat.parquet", flat_table(rows)), **options)


def sizes(shards: Sequence[Shard]) -> list[tuple[str, bool, int]]:
    """Each shard's name, whether it is its unit's last, and its pairs."""
    return [(shard.name, shard.last, shard.pairs.num_rows) for shard in shards]
