"""Queries, hits and corpus to candidate lists, at any size: what does not fit into memory is on the local disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.base import files
from transforms.base.database import temporary_database
from transforms.layout import CANDIDATES_DIRECTORY, PARQUET, part_files, part_name
from transforms.retrieval import step_files
from transforms.schema import PART_PAIRS

if TYPE_CHECKING:
    import duckdb

_MEMORY = "512MB"  # of the database; Arrow and Python take about as much again
_BATCH_ROWS = 2048
_CORPUS = step_files.CORPUS.append(pa.field("place", pa.int64()))


def part_path(output: str, part: int) -> str:
    return files.join(output, CANDIDATES_DIRECTORY, part_name(part) + PARQUET)


def parts(output: str) -> list[str]:
    """Paths of the part files that are there, in order."""
    folder = files.join(output, CANDIDATES_DIRECTORY)
    return [files.join(folder, name) for name in part_files(files.list_names(folder))]


def queries_of_part(depth: int) -> int:
    """Queries of a part file, the last one aside."""
    return max(1, PART_PAIRS // depth)


def number_of_parts(queries: int, depth: int) -> int:
    return -(-queries // queries_of_part(depth))


def write_parts(
    output: str, shards: Sequence[str], hits: Sequence[str], *, depth: int, exclude_identical_ids: bool
) -> Iterator[int]:
    """Commits the part files that are not there yet, and yields their numbers.

    A part holds a fixed number of queries in their order. Of each query it has the `depth` hits of the highest scores,
    equal ones by document id, descending, in the nested layout of the reranking job's input. A document that stands in
    the corpus twice counts once, as it stands first. Its record counts its queries, its pairs, queries without
    candidates, and hits whose document is not in the corpus.

    Args:
        output: the job's directory.
        shards: names of the corpus' shards.
        hits: names of the files of hits.
        depth: candidates of a query, at most.
        exclude_identical_ids: whether a document that has the query's own id is excluded from its candidates.
    """
    queries = step_files.read(step_files.queries_path(output))
    size = queries_of_part(depth)
    missing = [
        part for part in range(number_of_parts(len(queries), depth)) if not files.exists(part_path(output, part))
    ]
    if not missing:
        return
    with temporary_database(_MEMORY, keep_order=False) as database:
        _select_best(database, output, queries, hits, depth, exclude_identical_ids)
        expected = dict(database.execute(f"SELECT number // {size}, count(*) FROM best GROUP BY 1").fetchall())
        pairs = _joined(database, output, shards, missing, size)
        for part, rows in _by_part(pairs, missing, size):
            lists = _nested(queries.slice(part * size, size), rows, first=part * size)
            counts = {
                "queries": len(lists),
                "pairs": len(rows),
                "without_candidates": int(pc.sum(pc.equal(pc.list_value_length(lists["candidates"]), 0)).as_py()),
                "not_in_corpus": expected.get(part, 0) - len(rows),
            }
            step_files.write(part_path(output, part), lists, counts)
            yield part


def _select_best(
    database: duckdb.DuckDBPyConnection,
    output: str,
    queries: pa.Table,
    hits: Sequence[str],
    depth: int,
    exclude_identical_ids: bool,
) -> None:
    """Makes the table best(number, doc_id, score, rank)."""
    database.register("queries", queries)
    paths = [step_files.hits_path(output, name) for name in hits]
    database.register("hits", step_files.batches(paths, step_files.HITS))
    other = "hits.doc_id <> hits.query_id" if exclude_identical_ids else "true"
    database.execute(
        "CREATE TABLE found AS SELECT number, doc_id, max(score) AS score"
        f" FROM hits JOIN queries USING (query_id) WHERE {other} GROUP BY number, doc_id"
    )
    database.execute(
        "CREATE TABLE best AS SELECT * FROM (SELECT number, doc_id, score,"
        " row_number() OVER (PARTITION BY number ORDER BY score DESC, doc_id DESC) AS rank FROM found)"
        f" WHERE rank <= {depth}"
    )
    database.execute("DROP TABLE found")


def _joined(
    database: duckdb.DuckDBPyConnection, output: str, shards: Sequence[str], missing: Sequence[int], size: int
) -> pa.RecordBatchReader:
    """The pairs of the missing parts with their texts, by number of the query, rank, and place in the corpus."""
    paths = [step_files.corpus_path(output, name) for name in sorted(shards)]
    database.register("corpus", pa.RecordBatchReader.from_batches(_CORPUS, _with_place(paths)))
    database.register("missing", pa.table({"part": pa.array(missing, pa.int64())}))
    pairs = database.sql(
        "SELECT number, rank, doc_id, score, title, text FROM corpus JOIN best USING (doc_id)"
        f" WHERE number // {size} IN (SELECT part FROM missing) ORDER BY number, rank, place"
    )
    return pairs.to_arrow_reader(_BATCH_ROWS)


def _with_place(paths: list[str]) -> Iterator[pa.RecordBatch]:
    place = 0
    for batch in step_files.batches(paths, step_files.CORPUS):
        places = pa.array(np.arange(place, place + len(batch)))
        yield pa.RecordBatch.from_arrays([*batch.columns, places], schema=_CORPUS)
        place += len(batch)


def _by_part(pairs: pa.RecordBatchReader, missing: Sequence[int], size: int) -> Iterator[tuple[int, pa.Table]]:
    """Each missing part with its pairs, of which there may be none."""
    held = [pairs.schema.empty_table()]
    waiting = list(missing)
    for batch in pairs:
        table = pa.Table.from_batches([batch])
        while len(table):
            # What is before the end of the first part that waits is its own; the rows are in order.
            end = int(np.searchsorted(table["number"].to_numpy(), (waiting[0] + 1) * size))
            held.append(table.slice(0, end))
            table = table.slice(end)
            if len(table):
                yield waiting.pop(0), _first_of_each(pa.concat_tables(held))
                held = [pairs.schema.empty_table()]
    for part in waiting:
        yield part, _first_of_each(pa.concat_tables(held))
        held = [pairs.schema.empty_table()]


def _first_of_each(rows: pa.Table) -> pa.Table:
    """Without the rows that repeat a pair, whose document stands in the corpus again."""
    number, rank = rows["number"].to_numpy(), rows["rank"].to_numpy()
    again = np.zeros(len(rows), np.bool_)
    again[1:] = (number[1:] == number[:-1]) & (rank[1:] == rank[:-1])
    return rows.filter(pa.array(~again))


def _nested(queries: pa.Table, rows: pa.Table, first: int) -> pa.Table:
    """One row per query, the first of which has the number `first`."""
    lengths = np.bincount(rows["number"].to_numpy() - first, minlength=len(queries))
    columns = {
        "doc_id": pa.string(),
        "text": pa.string(),
        "title": pa.string(),
        "score": pa.float64(),
        "rank": pa.int32(),
    }
    arrays = [rows[name].cast(kind).combine_chunks() for name, kind in columns.items()]
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays(arrays, names=list(columns)))
    return pa.table({"query_id": queries["query_id"], "query": queries["query"], "candidates": lists})
