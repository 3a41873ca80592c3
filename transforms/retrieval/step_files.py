"""What stands on disk between a job's steps, under OUT/_work: queries, the corpus in shards, and hits.

Every file appears whole or not at all, under a name that depends on the input alone, so that a step that is begun again
skips what is there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.base import files

WORK = "_work"
_CORPUS, _HITS = f"{WORK}/corpus", f"{WORK}/hits"
QUERIES = pa.schema([("number", pa.int64()), ("query_id", pa.string()), ("query", pa.string())])
CORPUS = pa.schema([("doc_id", pa.string()), ("title", pa.string()), ("text", pa.string())])
# Documents that a first stage found for queries: at least the best of each query, in any order.
HITS = pa.schema([("query_id", pa.string()), ("doc_id", pa.string()), ("score", pa.float64())])
_RECORD = b"candidates"
_SECONDS_TO_WRITE = 3600.0  # of one file, at most


def queries_path(output: str) -> str:
    return files.join(output, WORK, "queries.parquet")


def corpus_path(output: str, name: str) -> str:
    return files.join(output, _CORPUS, f"{name}.parquet")


def hits_path(output: str, name: str) -> str:
    return files.join(output, _HITS, f"{name}.parquet")


def corpus_files(output: str) -> list[str]:
    """Names of the files of the corpus' shards."""
    return files.list_names(files.join(output, _CORPUS))


def hit_files(output: str) -> list[str]:
    """Names of the files of hits."""
    return files.list_names(files.join(output, _HITS))


def sweep(output: str) -> None:
    """Deletes what killed runs left half-written."""
    for directory in (WORK, _CORPUS, _HITS):
        files.sweep(files.join(output, directory))


def sweep_shared(directory: str) -> None:
    """Deletes what killed runs left half-written where other jobs may be writing: what nobody wrote to for an hour."""
    for name in filter(files.is_temporary, files.list_names(directory)):
        path = files.join(directory, name)
        with suppress(OSError):  # another job is done with it meanwhile
            if time.time() - files.modified(path) > _SECONDS_TO_WRITE:
                files.delete([path])


def write(path: str, table: pa.Table, record: Mapping[str, Any] | None = None) -> None:
    """Commits a table with a record of it; the same arguments give the same bytes."""
    text = json.dumps(record or {}, sort_keys=True)
    table = table.replace_schema_metadata({_RECORD: text}).combine_chunks()
    files.write_atomically(
        path, lambda stream: pq.write_table(table, stream, compression="zstd", row_group_size=max(1, len(table)))
    )


def read(path: str) -> pa.Table:
    with files.open_columns(path) as stream:
        return pq.read_table(stream, use_threads=False).replace_schema_metadata()


def record(path: str) -> dict[str, Any]:
    """The record that `write` was given with the table."""
    with files.open_columns(path) as stream:
        content: dict[str, Any] = json.loads((pq.read_schema(stream).metadata or {}).get(_RECORD, "{}"))
    return content


def batches(paths: list[str], schema: pa.Schema) -> pa.RecordBatchReader:
    """The rows of some files in their order, a little in memory at a time."""
    return pa.RecordBatchReader.from_batches(schema, _batches(paths, schema))


def _batches(paths: list[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with files.open_columns(path) as stream:
            for batch in pq.ParquetFile(stream, pre_buffer=False).iter_batches(4096, use_threads=False):
                yield batch.replace_schema_metadata().cast(schema)
