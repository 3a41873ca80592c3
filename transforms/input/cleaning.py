"""Which queries and candidates can be scored, in what order, and why the others cannot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.input.arrays import blank, decodable, mask, nulls, objects
from transforms.input.rows import UNREADABLE, Rows, kept_names
from transforms.input.template import Template, render, uses_title
from transforms.schema import IN_INPUT_ORDER, PAIRS, QUERIES, REJECTED, Reason

# What is counted of each row read; the last ones add up to a shard's counts.
COUNTS = ("queries", "empty_lists", "empty_queries", "empty_texts", "nan_first_stage_scores", IN_INPUT_ORDER)


@dataclass(frozen=True)
class Clean:
    """Queries ready to score, and what was rejected.

    Attributes:
        queries, pairs, rejected: the tables of a `schema.Shard`, as record batches.
        sizes: for each query that was read, int64 [read, 3]: how many rows of these three are its own.
        text_bytes: for each query that was read, bytes of its pairs' texts, int64 [read].
        counts: for each query that was read, the `COUNTS`, int64 [read, 6].
    """

    queries: pa.RecordBatch
    pairs: pa.RecordBatch
    rejected: pa.RecordBatch
    sizes: NDArray[np.int64]
    text_bytes: NDArray[np.int64]
    counts: NDArray[np.int64]

    def slice(self, start: int, stop: int) -> Clean:
        """What belongs to the queries `start` to `stop` (half-open) of those that were read."""
        before, size = self.sizes[:start].sum(axis=0), self.sizes[start:stop].sum(axis=0)
        return Clean(
            self.queries.slice(before[0], size[0]),
            self.pairs.slice(before[1], size[1]),
            self.rejected.slice(before[2], size[2]),
            self.sizes[start:stop],
            self.text_bytes[start:stop],
            self.counts[start:stop],
        )


class _Faults:
    """The first fault of each row."""

    def __init__(self, rows: pa.RecordBatch) -> None:
        self.reason = objects(rows.column("fault"))
        self.detail = objects(rows.column("detail"))
        self.ok = nulls(rows.column("fault"))

    def mark(self, hit: NDArray[np.bool_], reason: Reason, detail: str | None = None) -> None:
        new = hit & self.ok
        self.reason[new], self.detail[new], self.ok = reason, detail, self.ok & ~new

    def mark_text(self, strings: pa.StringArray, column: str, null_reason: Reason | None) -> pa.StringArray:
        """Marks strings that are not UTF-8, or null where that is a fault. Returns `strings` with null for both."""
        valid, bad = decodable(strings)
        self.mark(bad, "invalid_utf8", column)
        if null_reason:
            self.mark(nulls(strings), null_reason)
        return valid


def clean(rows: Rows, template: Template | None = None) -> Clean:
    """Sorts what can be scored from what cannot, renders the texts, and puts each list into first-stage order."""
    n = len(rows.n_entries)
    query_faults = _Faults(rows.queries)
    query_id = query_faults.mark_text(rows.queries.column("query_id"), "query_id", "null_query_id")
    query_faults.mark(blank(query_id), "blank_query_id")
    query = query_faults.mark_text(rows.queries.column("query"), "query", "null_query")
    instruction = query_faults.mark_text(rows.queries.column("instruction"), "instruction", None)
    query_faults.mark(nulls(rows.queries.column("n_candidates")), "null_candidates")

    parent = np.repeat(np.arange(n), rows.n_entries)
    position = np.arange(len(parent)) - np.repeat(np.cumsum(rows.n_entries) - rows.n_entries, rows.n_entries)
    alive = query_faults.ok[parent]
    entries = rows.entries if alive.all() else rows.entries.filter(pa.array(alive))
    parent, position = parent[alive], position[alive]

    faults = _Faults(entries)
    faults.mark(mask(entries.column("missing")), "null_candidate")
    doc_id = faults.mark_text(entries.column("doc_id"), "doc_id", "null_doc_id")
    faults.mark(blank(doc_id), "blank_doc_id")
    text = faults.mark_text(entries.column("text"), "text", "null_text")
    title = entries.column("title")
    if uses_title(template):
        title = faults.mark_text(title, "title", None)
    faults.mark(_repeated(parent, doc_id, faults.ok), "duplicate_doc_id")

    score, is_nan = _without_nan(entries.column("score"))
    order, first_stage_rank, as_given = _first_stage(parent, doc_id, score, entries.column("rank"), faults.ok)
    chosen = pa.array(order)
    rendered = render(template, title.take(chosen), text.take(chosen))
    pairs = {
        "doc_id": doc_id.take(chosen),
        "text": rendered,
        "first_stage_rank": pa.array(first_stage_rank),
        "first_stage_score": score.take(chosen),
        "given_position": pa.array(position[order], pa.int32()),
        "source_file": entries.column("source_file").take(chosen),
        "source_row": entries.column("source_row").take(chosen),
    }
    n_pairs = np.bincount(parent[order], minlength=n)
    with_pairs = np.flatnonzero(n_pairs)
    queries = {
        "query_id": query_id.take(pa.array(with_pairs)),
        "query": query.take(pa.array(with_pairs)),
        "instruction": instruction.take(pa.array(with_pairs)),
        "n_pairs": pa.array(n_pairs[with_pairs], pa.int32()),
    }
    rejected, n_rejected = _rejected(rows.queries, query_id, query_faults, entries, parent, doc_id, faults)

    def per_query(weights: NDArray[np.generic]) -> NDArray[np.int64]:
        return np.bincount(parent[order], weights=weights, minlength=n).astype(np.int64)

    readable = mask(pc.not_equal(rows.queries.column("fault").fill_null(""), UNREADABLE))
    empty_text = mask(pc.equal(text.take(chosen), ""))
    counts = [
        readable,
        query_faults.ok & (rows.n_entries == 0),
        (n_pairs > 0) & mask(pc.equal(query, "")),
        per_query(empty_text),
        per_query(is_nan[order]),
        per_query(as_given),
    ]
    return Clean(
        _batch(QUERIES, queries, rows.queries, with_pairs),
        _batch(PAIRS, pairs, entries, order),
        rejected,
        np.stack([n_pairs > 0, n_pairs, n_rejected], axis=1).astype(np.int64),
        per_query(pc.binary_length(rendered).to_numpy(zero_copy_only=False)),
        np.stack(counts, axis=1).astype(np.int64),
    )


def _repeated(parent: NDArray[np.int64], doc_id: pa.StringArray, ok: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which of the entries that are fine so far repeat the document of an earlier one in their list."""
    places = np.flatnonzero(ok)
    codes = doc_id.take(pa.array(places)).dictionary_encode().indices.to_numpy(zero_copy_only=False)
    _, first = np.unique(parent[places] * len(doc_id) + codes, return_index=True)
    result = ok.copy()
    result[places[first]] = False
    return result


def _without_nan(score: pa.DoubleArray) -> tuple[pa.DoubleArray, NDArray[np.bool_]]:
    is_nan = mask(pc.is_nan(score))
    return pc.if_else(pa.array(is_nan), None, score), is_nan


def _first_stage(
    parent: NDArray[np.int64],
    doc_id: pa.StringArray,
    score: pa.DoubleArray,
    rank: pa.Int64Array,
    ok: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.bool_]]:
    """Places of the entries that are fine, list by list in first-stage order; their places in it, from 1; and whether
    theirs is a list in the order given.

    By rank where every entry of the list has one, equal ranks as given; else by score, those without one last, and
    equal scores by document id from the last to the first; where no entry has a score either, as given.
    """
    places = np.flatnonzero(ok)
    parent = parent[places]
    rank, score, doc_id = (array.take(pa.array(places)) for array in (rank, score, doc_id))
    has_rank, has_score = ~nulls(rank), ~nulls(score)
    n = int(parent.max(initial=-1)) + 1
    by_rank = (np.bincount(parent, ~has_rank, n) == 0)[parent]
    by_score = ~by_rank & (np.bincount(parent, has_score, n) > 0)[parent]

    ranks = rank.fill_null(0).to_numpy(zero_copy_only=False)
    scores = score.fill_null(0.0).to_numpy(zero_copy_only=False)
    from_last = pc.rank(doc_id, "descending", tiebreaker="dense").to_numpy()
    # The keys that are not a list's own are equal in all of its entries; what is equal stays in the order given.
    order = np.lexsort(
        [
            np.where(by_score, from_last, 0),
            np.where(by_score, -scores, 0.0),
            by_score & ~has_score,
            np.where(by_rank, ranks, 0),
            parent,
        ]
    )
    starts = np.searchsorted(parent, parent, side="left")
    return places[order], (np.arange(len(order)) - starts + 1).astype(np.int32), ~(by_rank | by_score)[order]


def _rejected(
    queries: pa.RecordBatch,
    query_id: pa.StringArray,
    query_faults: _Faults,
    entries: pa.RecordBatch,
    parent: NDArray[np.int64],
    doc_id: pa.StringArray,
    faults: _Faults,
) -> tuple[pa.RecordBatch, NDArray[np.int64]]:
    """Rows of schema REJECTED in the order of the queries, and how many each query has."""
    bad_query, bad_entry = np.flatnonzero(~query_faults.ok), np.flatnonzero(~faults.ok)
    if not len(bad_query) and not len(bad_entry):
        return pa.RecordBatch.from_pylist([], schema=REJECTED), np.zeros(queries.num_rows, np.int64)
    whose = np.concatenate([bad_query, parent[bad_entry]])
    pick_query, pick_entry = pa.array(bad_query), pa.array(bad_entry)
    n_candidates = queries.column("n_candidates").fill_null(0).take(pick_query)
    source_file, source_row = (
        pa.concat_arrays([queries.column(name).take(pick_query), entries.column(name).take(pick_entry)])
        for name in ("source_file", "source_row")
    )
    columns = [
        query_id.take(pa.array(whose)),
        pa.concat_arrays([pa.nulls(len(bad_query), pa.string()), doc_id.take(pick_entry)]),
        pa.concat_arrays([n_candidates, pa.nulls(len(bad_entry), pa.int32())]),
        pa.array(np.concatenate([query_faults.reason[bad_query], faults.reason[bad_entry]]), pa.string()),
        pa.array(np.concatenate([query_faults.detail[bad_query], faults.detail[bad_entry]]), pa.string()),
        source_file.cast(pa.string()),
        source_row,
    ]
    order = pa.array(np.argsort(whose, kind="stable"))
    rejected = pa.RecordBatch.from_arrays(columns, schema=REJECTED).take(order)
    return rejected, np.bincount(whose, minlength=queries.num_rows)


def _batch(
    schema: pa.Schema, columns: dict[str, pa.Array], origin: pa.RecordBatch, places: NDArray[np.int64]
) -> pa.RecordBatch:
    """`columns`, which are those of `schema`, followed by the columns to keep of `origin` at `places`."""
    required = pa.RecordBatch.from_arrays([columns[name] for name in schema.names], schema=schema)
    kept = kept_names(origin)
    arrays = [*required.columns, *(origin.column(name).take(pa.array(places)) for name in kept)]
    return pa.RecordBatch.from_arrays(arrays, names=[*schema.names, *kept])
