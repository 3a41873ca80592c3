"""One shard's results become part files: what was scored, what was rejected, and the mark that says so.

The protocol. A shard's rejected part is replaced (or removed, if it would be empty) first, and its scored part, which
is always written, second; each appears whole or not at all. The scored part is the commit mark: until it is there,
readers ignore the rejected part and the job does the shard again. What was counted travels in the scored part's footer,
so that a report can be summed up from the parts alone after any number of restarts.

A part's content is on the disk before it has its name. The names are flushed once, before the job is marked as
finished: a power cut may take the last ones, whose shards are scored again, but leaves no part that is not whole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from transforms.base import files
from transforms.base.json_text import sha256
from transforms.input import arrays
from transforms.input.rows import KEEP
from transforms.layout import REJECTED_DIRECTORY, SCORED_DIRECTORY
from transforms.output.parts import part_path
from transforms.schema import PART_VERSION, RECORD_KEY, REJECTED, SCORED, Shard
from transforms.scoring.results import LEDGER, Failure, Scores


class Stamp(NamedTuple):
    """What a job's part files carry besides their shard's results.

    Attributes:
        fingerprint: of the job, so that a part of another job, copied here, is not taken for one of it.
        version: see `schema.PART_VERSION`.
        columns: of a scored part, before the kept ones.
    """

    fingerprint: str = ""
    version: int = PART_VERSION
    columns: pa.Schema = SCORED


UNSTAMPED = Stamp()  # of no job


def commit(
    output: str, shard: Shard, scores: Scores, top_k: int | None = None, stamp: Stamp = UNSTAMPED
) -> Counter[str]:
    """Writes the shard's part files and returns what `count` counted. The same arguments give the same bytes."""
    scored, rejected = results(shard, scores, top_k, stamp.columns)
    counts = count(shard, scores, rejected)
    path = part_path(output, SCORED_DIRECTORY, shard.name)
    write_rejected(part_path(output, REJECTED_DIRECTORY, shard.name), rejected, stamp)
    write_scored(path, scored, record_of(shard, counts, stamp), stamp)
    return counts


def record_of(shard: Shard, counts: Mapping[str, int], stamp: Stamp, **further: str) -> dict[str, Any]:
    """What a scored part's footer says of its shard, see `parts.Part`."""
    record = {"counts": counts, "job": stamp.fingerprint, "last": shard.last, **further}
    if stamp.version > 1:
        record["part"] = shard.name
        record["digest"] = sha256(record)  # checksums of pages do not cover the footer
    return record


def write_scored(path: str, table: pa.Table, record: Mapping[str, Any], stamp: Stamp) -> None:
    """Writes a scored part, whose name is still to be flushed."""
    metadata = {RECORD_KEY: json.dumps(record, sort_keys=True)}
    files.write_unflushed(path, lambda stream: _write_parquet(stream, table, metadata, stamp))


def write_rejected(path: str, table: pa.Table, stamp: Stamp) -> None:
    """Replaces a rejected part, whose name is still to be flushed; one that would be empty is not there."""
    if table.num_rows:
        files.write_unflushed(path, lambda stream: _write_parquet(stream, table, {}, stamp))
    else:
        files.delete([path])


def _write_parquet(stream: BinaryIO, table: pa.Table, metadata: Mapping[bytes, str], stamp: Stamp) -> None:
    # One chunk a column, so that the bytes do not depend on how the input happened to be read.
    checksums = stamp.version > 1
    with pq.ParquetWriter(stream, table.schema, compression="zstd", write_page_checksum=checksums) as writer:
        writer.write_table(table.combine_chunks())
        writer.add_key_value_metadata(metadata)


def rank(
    query: NDArray[np.integer],
    score: NDArray[np.float32],
    doc_id: pa.Array | pa.ChunkedArray,
    top_k: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Orders pairs by query, then score descending, then doc_id descending by its UTF-8 bytes.

    That is the order in which trec_eval reads a run (form_res_rels.c: ties in score by document number, descending), so
    that the ranks written here and the measures computed from the scores agree.

    Args:
        query: [pairs] the number of each pair's query.
        score: [pairs] finite scores.
        doc_id: [pairs] strings, unique within a query.
        top_k: pairs of a query to keep, the best; None for all.

    Returns:
        order: [kept pairs] indices that sort the pairs.
        rank: [kept pairs] the rank of pair order[i] in its query, from 1 and without gaps.
    """
    keys = [("query", "ascending"), ("score", "descending"), ("doc_id", "descending")]
    table = pa.table({"query": query, "score": score, "doc_id": doc_id})
    order = pc.sort_indices(table, sort_keys=keys).to_numpy().astype(np.int64)
    sorted_query = query[order]
    first = np.searchsorted(sorted_query, sorted_query, side="left")
    ranks = (np.arange(len(order)) - first + 1).astype(np.int32)
    kept = slice(None) if top_k is None else ranks <= top_k
    return order[kept], ranks[kept]


def results(
    shard: Shard, scores: Scores, top_k: int | None = None, schema: pa.Schema = SCORED
) -> tuple[pa.Table, pa.Table]:
    """The shard's scored and rejected rows.

    A pair that failed, or whose score is not finite, is rejected and never ranked. `top_k` shortens what is written of
    each query, not what is ranked. The kept columns, which stand last in the shard's tables, follow the columns of
    `schema`, the query's before the pair's.
    """
    _check_alignment(shard, scores)
    usable = _usable(scores)
    kept = np.flatnonzero(usable)
    query = _query_of_pairs(shard)
    order, ranks = rank(query[kept], scores.score[kept], shard.pairs["doc_id"].take(kept), top_k)
    rows = kept[order]

    query_columns = _repeated(shard.queries, query[rows])
    pair_columns = shard.pairs.take(rows)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "query_id": query_columns["query_id"],
        "doc_id": pair_columns["doc_id"],
        "rank": pa.array(ranks),
        "score": pa.array(scores.score[rows], pa.float32()),
        "first_stage_rank": pair_columns["first_stage_rank"],
        "first_stage_score": pair_columns["first_stage_score"],
    } | {field.name: _ledger_column(scores, field, rows) for field in schema if field.name in LEDGER}
    required = pa.table([columns[field.name].cast(field.type) for field in schema], schema=schema)
    extra = [_columns_after(query_columns, "n_pairs"), _columns_after(pair_columns, "source_row")]
    scored = pa.Table.from_arrays(
        [column for table in [required, *extra] for column in table.columns],
        schema=pa.schema([field for table in [required, *extra] for field in table.schema]),
    )
    failed = np.flatnonzero(~usable)
    return scored, pa.concat_tables([shard.rejected.cast(REJECTED), _rejected_pairs(shard, scores, query, failed)])


def _check_alignment(shard: Shard, scores: Scores) -> None:
    pairs = shard.pairs.num_rows
    claimed = pc.sum(shard.queries["n_pairs"]).as_py() or 0
    if not len(scores.score) == pairs == claimed:
        raise ValueError(f"{shard.name}: {pairs} pairs, {len(scores.score)} scores, and queries that claim {claimed}")


def _usable(scores: Scores) -> NDArray[np.bool_]:
    """[pairs] whether the pair has a score to write."""
    usable = np.isfinite(scores.score)
    usable[list(scores.failures)] = False
    return usable


def _query_of_pairs(shard: Shard) -> NDArray[np.int64]:
    """[pairs] the row in `shard.queries` of each pair's query."""
    return np.repeat(np.arange(shard.queries.num_rows), shard.queries["n_pairs"].to_numpy())


def _repeated(queries: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
    """Rows of the queries, each as often as it is named, in chunks that are not too large."""
    most = max(1, arrays.MOST_BYTES // max(1, queries.nbytes))
    starts = range(0, max(1, len(rows)), most)
    return pa.concat_tables([queries.take(rows[start : start + most]) for start in starts])


def _ledger_column(scores: Scores, field: pa.Field, rows: NDArray[np.int64]) -> pa.Array:
    values = getattr(scores, field.name)
    return pa.nulls(len(rows), field.type) if values is None else pa.array(values[rows])


def _columns_after(table: pa.Table, name: str) -> pa.Table:
    """The columns right of `name`, which are those to keep, under the names that they have in the input."""
    after = table.select(list(range(table.schema.get_field_index(name) + 1, table.num_columns)))
    return after.rename_columns([column.removeprefix(KEEP) for column in after.column_names])


def _rejected_pairs(shard: Shard, scores: Scores, query: NDArray[np.int64], rows: NDArray[np.int64]) -> pa.Table:
    failures = [scores.failures.get(int(row)) or Failure("nan_score", f"score {scores.score[row]}") for row in rows]
    columns = {
        "query_id": shard.queries["query_id"].take(query[rows]),
        "doc_id": shard.pairs["doc_id"].take(rows),
        "n_candidates": pa.nulls(len(rows)),
        "reason": pa.array([failure.reason for failure in failures], pa.string()),
        "detail": pa.array([failure.detail for failure in failures], pa.string()),
        "source_file": shard.pairs["source_file"].take(rows),
        "source_row": shard.pairs["source_row"].take(rows),
    }
    return pa.table([columns[field.name].cast(field.type) for field in REJECTED], schema=REJECTED)


def count(shard: Shard, scores: Scores, rejected: pa.Table) -> Counter[str]:
    """What a report sums up, over all of the shard's pairs, whether written or cut off by top_k.

    Args:
        rejected: all of the shard's rejected rows, those of failed pairs included.

    Keys: those of `shard.counts` and `scores.counts`; pairs, scored; rejected.REASON in pairs (a rejected query counts
    its n_candidates) and rejected_rows.REASON in rows; rejected_queries; and, where the model reports them, tokens,
    truncated_pairs, truncated_tokens, truncated_queries, windowed_pairs (read in more than one window).
    """
    counts = Counter(shard.counts)
    counts.update(scores.counts)
    counts.update(count_rejected(rejected))
    counts["scored"] = int(np.count_nonzero(_usable(scores)))
    counts["pairs"] = counts["scored"] + sum(n for name, n in counts.items() if name.startswith("rejected."))
    counts.update(count_ledger(shard, scores))
    return counts


def count_rejected(rejected: pa.Table) -> dict[str, int]:
    """What `count` counts of rejected rows."""
    counts: dict[str, int] = {}
    if not rejected.num_rows:
        return counts | {"rejected_queries": 0}
    weights = pc.fill_null(rejected["n_candidates"], 1)  # a row without it is one pair
    by_reason = pa.table({"reason": rejected["reason"], "pairs": weights}).group_by("reason")
    for row in by_reason.aggregate([("pairs", "sum"), ("pairs", "count")]).to_pylist():
        counts[f"rejected.{row['reason']}"] = row["pairs_sum"]
        counts[f"rejected_rows.{row['reason']}"] = row["pairs_count"]
    return counts | {"rejected_queries": rejected.num_rows - rejected["n_candidates"].null_count}


def count_ledger(shard: Shard, scores: Scores) -> dict[str, int]:
    """What `count` counts of what the model reports of the pairs."""
    counts = {}
    if scores.tokens is not None:
        counts["tokens"] = int(scores.tokens.sum(dtype=np.int64))
    if scores.truncated_tokens is not None:
        counts["truncated_pairs"] = int(np.count_nonzero(scores.truncated_tokens))
        counts["truncated_tokens"] = int(scores.truncated_tokens.sum(dtype=np.int64))
    if scores.query_truncated_tokens is not None:
        counts["truncated_queries"] = len(np.unique(_query_of_pairs(shard)[scores.query_truncated_tokens > 0]))
    if scores.windows is not None:
        counts["windowed_pairs"] = int(np.count_nonzero(scores.windows > 1))
    return counts
