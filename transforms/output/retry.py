"""Scoring again what was rejected, without losing what was not.

A part is replaced only when its replacement is whole: both of its files are written under OUT/_staged first, the scored
one last, and then take the places of the old ones. A stop between the two leaves the staged scored part there, by which
the next start finishes the exchange.

Which retry it is stands in OUT/_retry.json. A part that was retried in vain carries the retry's id, so that an
interrupted retry goes on where it stopped and asks for no pair twice.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.base import files
from transforms.base.errors import UserError, one_line
from transforms.base.json_text import parse
from transforms.layout import PARQUET, REJECTED_DIRECTORY, RETRY, SCORED_DIRECTORY, STAGED_DIRECTORY, SUCCESS
from transforms.output.commit import (
    Stamp,
    count,
    count_ledger,
    count_rejected,
    rank,
    record_of,
    results,
    write_rejected,
    write_scored,
)
from transforms.output.parts import Part, part_path
from transforms.schema import RECORD_KEY, Reason, ScoringReason, Shard
from transforms.scoring.results import Scores

_SCORED, _REJECTED = f".{SCORED_DIRECTORY}", f".{REJECTED_DIRECTORY}"
# Reasons that are found when a pair has been read, so that its tokens are counted already.
_COUNTED: frozenset[Reason] = frozenset({"out_of_memory", "nan_score"})


class Retry(NamedTuple):
    """One retry of the pairs that were rejected for a reason.

    Attributes:
        reason: a word of `schema.REASONS`.
        id: of this retry, the same when it is continued.
        alone: whether the rejected pairs are scored alone, the others taken over; else the whole shard anew, for a
            model whose scores depend on what else is in a list.
    """

    reason: Reason
    id: str
    alone: bool


def begin(output: str, reason: Reason, *, alone: bool) -> Retry:
    """The retry that was interrupted in this output, if it is of this reason; else a new one, noted there."""
    path = files.join(output, RETRY)
    noted: Any = None
    if files.exists(path):
        try:
            noted = parse(files.read_text(path))
        except ValueError:  # of no worth but for what would be asked for twice
            noted = None
    if isinstance(noted, dict) and noted.get("reason") == reason and isinstance(noted.get("id"), str):
        return Retry(reason, noted["id"], alone)
    retry = Retry(reason, uuid.uuid4().hex, alone)
    files.write_text_atomically(path, json.dumps({"reason": reason, "id": retry.id}) + "\n")
    return retry


def end(output: str) -> None:
    """Forget the retry: it is through, or something else was done since."""
    files.delete([files.join(output, RETRY)])


def to_retry(parts: Mapping[str, Part], retry: Retry) -> frozenset[str]:
    """The parts with pairs that this retry has not tried yet."""
    return frozenset(
        name for name, part in parts.items() if part.counts[f"rejected.{retry.reason}"] and part.retry != retry.id
    )


def only_rejected(output: str, shard: Shard, reason: Reason) -> Shard:
    """Of a committed shard, the pairs alone that were rejected for a reason when they were scored.

    None for what the input holds: that would be rejected again, and a duplicate has the ids of a pair with a score.
    """
    rejected = _read(part_path(output, REJECTED_DIRECTORY, shard.name))
    wanted = rejected.filter(pc.equal(rejected["reason"], reason)).select(["query_id", "doc_id"])
    pairs = set(zip(*(column.to_pylist() for column in wanted.columns), strict=True))
    retried = pairs if reason in get_args(ScoringReason) else set()
    sizes = shard.queries["n_pairs"].to_numpy()
    query_ids = shard.queries["query_id"].to_pylist()
    of_pairs = np.repeat(np.arange(len(sizes)), sizes)
    documents = shard.pairs["doc_id"].to_pylist()
    chosen = np.fromiter(
        ((query_ids[query], document) in retried for query, document in zip(of_pairs.tolist(), documents, strict=True)),
        bool,
        len(documents),
    )
    left = np.bincount(of_pairs[chosen], minlength=len(sizes))
    queries = shard.queries.set_column(
        shard.queries.schema.get_field_index("n_pairs"),
        shard.queries.schema.field("n_pairs"),
        pa.array(left, pa.int32()),
    ).filter(pa.array(left > 0))
    return Shard(
        shard.name,
        shard.last,
        queries,
        shard.pairs.filter(pa.array(chosen)),
        shard.rejected.slice(0, 0),
        Counter(),
        tuple(query_ids),
    )


def replace(output: str, shard: Shard, scores: Scores, top_k: int | None, stamp: Stamp, retry: Retry) -> Counter[str]:
    """Put what was scored again into the place of a committed part; returns the part's counts.

    Args:
        output: the job's directory.
        shard: a whole shard, or what `only_rejected` left of it.
        scores: of its pairs.
        top_k: as of `commit.commit`.
        stamp: likewise.
        retry: why.
    """
    scored, rejected = results(shard, scores, top_k if shard.retried is None else None, stamp.columns)
    if shard.retried is None:
        counts = count(shard, scores, rejected)
    else:
        new = scored.num_rows
        old_scored, record = _read_scored(part_path(output, SCORED_DIRECTORY, shard.name))
        old_rejected = _read(part_path(output, REJECTED_DIRECTORY, shard.name))
        scored = _merged(old_scored, scored, shard.retried, top_k)
        rejected = _still_rejected(old_rejected, rejected, shard, retry.reason)
        counts = Counter({name: n for name, n in record["counts"].items() if not name.startswith("rejected")})
        counts.update(scores.counts)
        counts.update({"scored": new})
        if retry.reason not in _COUNTED:
            counts.update(count_ledger(shard, scores))
        counts.update(count_rejected(rejected))
    in_vain = {"retry": retry.id} if counts[f"rejected.{retry.reason}"] else {}
    staged = files.join(output, STAGED_DIRECTORY)
    write_rejected(files.join(staged, f"{shard.name}{_REJECTED}{PARQUET}"), rejected, stamp)
    record = record_of(shard, counts, stamp, **in_vain)
    write_scored(files.join(staged, f"{shard.name}{_SCORED}{PARQUET}"), scored, record, stamp)
    files.flush_names(staged)
    files.delete([files.join(output, SUCCESS)])  # until the job says that it is whole again
    _exchange(output, shard.name)
    return counts


def recover(output: str) -> None:
    """Finish the exchanges that a stop came into, and remove what was staged in part.

    Raises:
        UserError: a staged part was damaged since it was written.
    """
    staged = files.join(output, STAGED_DIRECTORY)
    names = files.list_names(staged)
    for file_name in names:
        if file_name.endswith(f"{_SCORED}{PARQUET}"):
            name = file_name.removesuffix(f"{_SCORED}{PARQUET}")
            try:
                _exchange(output, name)
            except pa.ArrowException as error:
                raise UserError(
                    f"{files.join(staged, file_name)}: cannot be read ({one_line(error)}); delete its directory "
                    f"and both of the output's parts {name}{PARQUET}, and they are scored again"
                ) from error
    if names:
        files.delete_tree(staged)


def _exchange(output: str, name: str) -> None:
    """Give what is staged of a part its places; can be done again where it was stopped."""
    staged = files.join(output, STAGED_DIRECTORY)
    scored, rejected = (files.join(staged, f"{name}{kind}{PARQUET}") for kind in (_SCORED, _REJECTED))
    _, record = _read_scored(scored)
    if files.exists(rejected):
        files.rename(rejected, part_path(output, REJECTED_DIRECTORY, name))
        files.flush_names(files.join(output, REJECTED_DIRECTORY))
    elif not any(count.startswith("rejected_rows.") for count in record["counts"]):
        files.delete([part_path(output, REJECTED_DIRECTORY, name)])
    files.rename(scored, part_path(output, SCORED_DIRECTORY, name))
    files.flush_names(files.join(output, SCORED_DIRECTORY))


def _read(path: str) -> pa.Table:
    with files.open_columns(path) as stream:
        return pq.read_table(stream, page_checksum_verification=True)


def _read_scored(path: str) -> tuple[pa.Table, dict[str, Any]]:
    """A scored part's rows and its record."""
    with files.open_columns(path) as stream:
        parquet = pq.ParquetFile(stream, page_checksum_verification=True)
        return parquet.read().replace_schema_metadata(None), json.loads(parquet.metadata.metadata[RECORD_KEY])


def _merged(old: pa.Table, new: pa.Table, queries: tuple[str, ...], top_k: int | None) -> pa.Table:
    """Old and new scored rows in the order of a part. What top_k left out has ranks behind all that it kept."""
    table = pa.concat_tables([old, new])
    place = {query_id: number for number, query_id in enumerate(queries)}
    numbers = np.array([place[query_id] for query_id in table["query_id"].to_pylist()], dtype=np.int64)
    order, ranks = rank(numbers, table["score"].to_numpy(), table["doc_id"], top_k)
    at = table.schema.get_field_index("rank")
    return table.take(order).set_column(at, table.schema.field(at), pa.array(ranks))


def _still_rejected(old: pa.Table, new: pa.Table, shard: Shard, reason: Reason) -> pa.Table:
    """The old rejected rows in their order, those of the retried pairs replaced where they were rejected again."""
    again = {
        pair: row for row, pair in enumerate(zip(new["query_id"].to_pylist(), new["doc_id"].to_pylist(), strict=True))
    }
    sizes = shard.queries["n_pairs"].to_numpy()
    query_ids = np.repeat(np.array(shard.queries["query_id"].to_pylist(), dtype=object), sizes).tolist()
    retried = set(zip(query_ids, shard.pairs["doc_id"].to_pylist(), strict=True))
    both = pa.concat_tables([old, new])
    rows = []
    pairs = zip(old["query_id"].to_pylist(), old["doc_id"].to_pylist(), old["reason"].to_pylist(), strict=True)
    for row, (query_id, document, why) in enumerate(pairs):
        pair = (query_id, document)
        if why != reason or pair not in retried:
            rows.append(row)
        elif pair in again:
            rows.append(old.num_rows + again[pair])
    return both.take(pa.array(rows, pa.int64()))
