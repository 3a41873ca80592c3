"""One shard's results become part files: what was scored, what was rejected, and the mark that says so.

The protocol. A shard's rejected part is replaced (or removed, if it would be empty) first, and its scored part, which
is always written, second; each appears whole or not at all. The scored part is the commit mark: until it is there,
readers ignore the rejected part and the job does the shard again. What was counted travels in the scored part's footer,
so that a report can be summed up from the parts alone after any number of restarts.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from transforms.base import files
from transforms.base.errors import UserError
from transforms.input.rows import KEEP
from transforms.layout import PARQUET, REJECTED_DIRECTORY, RERANKING, SCORED_DIRECTORY, part_files, part_numbers
from transforms.schema import REJECTED, SCORED, Reason, Shard
from transforms.scoring.results import LEDGER, Failure, Scores

_RECORD_KEY = b"rerank"
_FOOTERS_READ_AT_ONCE = 16


class Part(NamedTuple):
    """What a scored part's footer says of its shard: counts, and whether it is the last slice of its row group."""

    counts: Counter[str]
    last: bool


def commit(output: str, shard: Shard, scores: Scores, top_k: int | None = None, fingerprint: str = "") -> Counter[str]:
    """Writes the shard's part files and returns what `count` counted. The same arguments give the same bytes.

    The scored part carries the job's fingerprint, so that a part of another job, copied here, is not taken for it.
    """
    scored, rejected = results(shard, scores, top_k)
    counts = count(shard, scores, rejected)
    record = json.dumps({"counts": counts, "job": fingerprint, "last": shard.last}, sort_keys=True)
    rejected_path = _part_path(output, REJECTED_DIRECTORY, shard.name)
    if rejected.num_rows:
        files.write_atomically(rejected_path, lambda stream: _write_parquet(stream, rejected, {}))
    else:
        files.delete([rejected_path])
    files.write_atomically(
        _part_path(output, SCORED_DIRECTORY, shard.name),
        lambda stream: _write_parquet(stream, scored, {_RECORD_KEY: record}),
    )
    return counts


def _part_path(output: str, directory: str, name: str) -> str:
    return files.join(output, directory, f"{name}{PARQUET}")


def _write_parquet(stream: BinaryIO, table: pa.Table, metadata: Mapping[bytes, str]) -> None:
    # One chunk a column, so that the bytes do not depend on how the input happened to be read.
    with pq.ParquetWriter(stream, table.schema, compression="zstd") as writer:
        writer.write_table(table.combine_chunks())
        writer.add_key_value_metadata(metadata)


def rank(
    query: NDArray[np.integer], score: NDArray[np.float32], doc_id: pa.Array | pa.ChunkedArray
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Orders pairs by query, then score descending, then doc_id descending by its UTF-8 bytes.

    That is the order in which trec_eval reads a run (form_res_rels.c: ties in score by document number, descending), so
    that the ranks written here and the measures computed from the scores agree.

    Args:
        query: [pairs] the number of each pair's query.
        score: [pairs] finite scores.
        doc_id: [pairs] strings, unique within a query.

    Returns:
        order: [pairs] indices that sort the pairs.
        rank: [pairs] the rank of pair order[i] in its query, from 1 and without gaps.
    """
    keys = [("query", "ascending"), ("score", "descending"), ("doc_id", "descending")]
    table = pa.table({"query": query, "score": score, "doc_id": doc_id})
    order = pc.sort_indices(table, sort_keys=keys).to_numpy().astype(np.int64)
    sorted_query = query[order]
    first = np.searchsorted(sorted_query, sorted_query, side="left")
    return order, (np.arange(len(order)) - first + 1).astype(np.int32)


def results(shard: Shard, scores: Scores, top_k: int | None = None) -> tuple[pa.Table, pa.Table]:
    """The shard's scored and rejected rows.

    A pair that failed, or whose score is not finite, is rejected and never ranked. `top_k` shortens what is written of
    each query, not what is ranked. The kept columns, which stand last in the shard's tables, follow the columns of
    SCORED, the query's before the pair's.
    """
    _check_alignment(shard, scores)
    usable = _usable(scores)
    kept = np.flatnonzero(usable)
    query = _query_of_pairs(shard)
    order, ranks = rank(query[kept], scores.score[kept], shard.pairs["doc_id"].take(kept))
    if top_k is not None:
        order, ranks = order[ranks <= top_k], ranks[ranks <= top_k]
    rows = kept[order]

    query_columns = shard.queries.take(query[rows])
    pair_columns = shard.pairs.take(rows)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "query_id": query_columns["query_id"],
        "doc_id": pair_columns["doc_id"],
        "rank": pa.array(ranks),
        "score": pa.array(scores.score[rows], pa.float32()),
        "first_stage_rank": pair_columns["first_stage_rank"],
        "first_stage_score": pair_columns["first_stage_score"],
    } | {name: _ledger_column(scores, name, rows) for name in LEDGER}
    required = pa.table([columns[field.name].cast(field.type) for field in SCORED], schema=SCORED)
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


def _ledger_column(scores: Scores, name: str, rows: NDArray[np.int64]) -> pa.Array:
    values = getattr(scores, name)
    return pa.nulls(len(rows), SCORED.field(name).type) if values is None else pa.array(values[rows])


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
    weights = pc.fill_null(rejected["n_candidates"], 1)  # a row without it is one pair
    by_reason = pa.table({"reason": rejected["reason"], "pairs": weights}).group_by("reason")
    for row in by_reason.aggregate([("pairs", "sum"), ("pairs", "count")]).to_pylist():
        counts[f"rejected.{row['reason']}"] = row["pairs_sum"]
        counts[f"rejected_rows.{row['reason']}"] = row["pairs_count"]
    counts["rejected_queries"] = rejected.num_rows - rejected["n_candidates"].null_count
    counts["scored"] = int(np.count_nonzero(_usable(scores)))
    counts["pairs"] = counts["scored"] + (pc.sum(weights).as_py() or 0)
    counts.update(_count_ledger(shard, scores))
    return counts


def _count_ledger(shard: Shard, scores: Scores) -> dict[str, int]:
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


def committed(output: str, fingerprint: str | None = None) -> dict[str, Part]:
    """The shards that are done, by name in order of file, row group and slice. Reads footers only.

    A part that cannot be read (a copy that was cut short, say) is not committed: nothing in it can be used, and scoring
    the shard again replaces it. The same holds if its rejected part is missing. A readable file that is not a part of
    this job could be anybody's and is never replaced.

    Args:
        output: the job's directory.
        fingerprint: of the job; None takes the parts of any.

    Raises:
        UserError: a Parquet file in the directory of scored parts was not written by this job.
    """
    directory = files.join(output, SCORED_DIRECTORY)
    file_names = part_files(files.list_names(directory))
    for name in file_names:
        if not RERANKING.is_part(name):
            raise _foreign(files.join(directory, name))
    names = sorted((name.removesuffix(PARQUET) for name in file_names), key=part_numbers)
    with ThreadPoolExecutor(_FOOTERS_READ_AT_ONCE) as pool:
        parts = list(pool.map(lambda name: _read_part(_part_path(output, SCORED_DIRECTORY, name), fingerprint), names))
    rejected = set(files.list_names(files.join(output, REJECTED_DIRECTORY)))
    return {
        name: part
        for name, part in zip(names, parts, strict=True)
        if part is not None and (f"{name}{PARQUET}" in rejected or not _has_rejected(part))
    }


def _has_rejected(part: Part) -> bool:
    return any(name.startswith("rejected_rows.") for name in part.counts)


def _read_part(path: str, fingerprint: str | None) -> Part | None:
    with files.open_input(path) as stream:
        try:
            metadata = pq.read_metadata(stream).metadata or {}
        except (pa.ArrowInvalid, OSError) as error:
            if getattr(error, "errno", None):  # the disk or the network failed, which says nothing about the file
                raise
            logging.getLogger(__name__).warning("%s is damaged and counts as not written: %s", path, error)
            return None
    if _RECORD_KEY not in metadata:
        raise _foreign(path)
    record = json.loads(metadata[_RECORD_KEY])
    if fingerprint is not None and record.get("job") != fingerprint:
        raise _foreign(path)
    return Part(Counter(record["counts"]), record["last"])


def _foreign(path: str) -> UserError:
    return UserError(f"{path} was not written by this job: move it out of the directory of scored parts")


def uncommit(output: str, reason: Reason, fingerprint: str | None = None) -> None:
    """Takes back the commits of the shards in which pairs were rejected for a reason, so that they are done again."""
    parts = committed(output, fingerprint)
    again = [name for name, part in parts.items() if part.counts[f"rejected.{reason}"]]
    files.delete(_part_path(output, SCORED_DIRECTORY, name) for name in again)


def complete_row_groups(parts: Mapping[str, Part]) -> set[tuple[int, int]]:
    """(file, row group) of which every slice is committed, so that a resume need not read it at all."""
    slices: dict[tuple[int, int], set[int]] = defaultdict(set)
    last: dict[tuple[int, int], int] = {}
    for name, part in parts.items():
        file, row_group, piece = part_numbers(name)
        slices[file, row_group].add(piece)
        if part.last:
            last[file, row_group] = piece
    return {unit for unit, end in last.items() if slices[unit].issuperset(range(end))}


def read_scored(output: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The committed scored parts, a table each, in the order of the input."""
    for name in committed(output):
        with files.open_input(_part_path(output, SCORED_DIRECTORY, name)) as stream:
            yield pq.read_table(stream, columns=None if columns is None else list(columns))
