"""The Arrow schemas that users and stages rely on, and what travels between the stages of the job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

# Of the columns below: goes up with each change of them, and no job continues across one.
SCHEMA_VERSION = 1

# Of how part files are written: from 2 on with checksums of pages and of their record, and with their names in it. A
# job goes on as it began.
PART_VERSION = 2
RECORD_KEY = b"rerank"  # of a scored part's metadata: JSON of what is said of its shard
# Counted of a shard in which no list has ranks or scores: its pairs, before which there is but the input's own order.
IN_INPUT_ORDER = "pairs_in_input_order"

SCORED = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),  # 1 = best
        pa.field("score", pa.float32(), nullable=False),  # the vendor's convention
        pa.field("first_stage_rank", pa.int32()),
        pa.field("first_stage_score", pa.float64()),
        pa.field("tokens", pa.int32()),
        pa.field("truncated_tokens", pa.int32()),
        pa.field("query_truncated_tokens", pa.int32()),
        pa.field("windows", pa.int16()),
        pa.field("group", pa.int16()),
        pa.field("position", pa.int16()),
    ]
)

# Between those and the kept columns, of a job with --window_score alone.
BEST_WINDOW = pa.schema(
    [
        pa.field("best_window", pa.int16()),  # from 0
        pa.field("best_window_token", pa.int32()),  # the document's token, from 0, at which it begins
    ]
)

REJECTED = pa.schema(
    [
        pa.field("query_id", pa.string()),
        pa.field("doc_id", pa.string()),
        pa.field("n_candidates", pa.int32()),  # of a rejected query: the pairs that this row stands for
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string()),
        pa.field("source_file", pa.string()),
        pa.field("source_row", pa.int64()),
    ]
)


def scored_columns(settings: Container[str]) -> pa.Schema:
    """The columns of a scored part before the kept ones, by the settings that a job's model records."""
    return pa.schema([*SCORED, *BEST_WINDOW]) if "window_score" in settings else SCORED


# Of a part file of candidates, which is a shard of the reranking job.
PART_PAIRS = 16_384

# What a shard holds of its queries that have pairs, and of its valid pairs. Kept columns, called keep.NAME, follow.
QUERIES = pa.schema(
    [
        pa.field("query_id", pa.string()),
        pa.field("query", pa.string()),
        pa.field("instruction", pa.string()),  # null where there is none
        pa.field("n_pairs", pa.int32()),
    ]
)

PAIRS = pa.schema(
    [
        pa.field("doc_id", pa.string()),
        pa.field("text", pa.string()),  # as the model sees it
        pa.field("first_stage_rank", pa.int32()),
        pa.field("first_stage_score", pa.float64()),
        pa.field("given_position", pa.int32()),  # in the input list, from 0
        pa.field("source_file", pa.dictionary(pa.int32(), pa.string())),  # the user's own input: few files, many rows
        pa.field("source_row", pa.int64()),
    ]
)

# The closed vocabulary of `reason`: what scoring finds, which a second try may change, and what the input holds.
ScoringReason = Literal["too_long", "tokenizer_error", "out_of_memory", "nan_score", "endpoint_error"]
InputReason = Literal[
    "null_query_id",
    "blank_query_id",
    "duplicate_query_id",
    "null_query",
    "conflicting_query",
    "null_candidates",
    "null_candidate",
    "null_doc_id",
    "blank_doc_id",
    "duplicate_doc_id",
    "null_text",
    "invalid_utf8",
    "unreadable",
]
Reason = InputReason | ScoringReason

# What each means to a reader of the rejected rows.
REASONS: dict[Reason, str] = {
    "null_query_id": "the query's id is null",
    "blank_query_id": "the query's id is empty or white space",
    "duplicate_query_id": "an earlier row of the input has this query id",
    "null_query": "the query's text is null",
    "conflicting_query": "flat input: an earlier row gives this query id another text",
    "null_candidates": "the candidate list is null",
    "null_candidate": "an entry of the candidate list is null",
    "null_doc_id": "the document's id is null",
    "blank_doc_id": "the document's id is empty or white space",
    "duplicate_doc_id": "an earlier candidate of this query has this document id",
    "null_text": "the document's text is null",
    "invalid_utf8": "a text or an id is not valid UTF-8",
    "unreadable": "the input's row group is damaged, or the query and its documents hold more than 2 GiB",
    "too_long": "the document takes more than 32,767 windows",
    "tokenizer_error": "the tokenizer failed on this text",
    "out_of_memory": "the pair alone, or its listwise group, does not fit into the device's memory",
    "nan_score": "the model's score is not a finite number",
    "endpoint_error": "the hosted API refuses the document or fails on it",
}


@dataclass(frozen=True)
class Shard:
    """The unit of work and of commit: some whole queries of one input file, cleaned and ready to score.

    Attributes:
        name: stem of the part files, unique over the job, e.g. "part-00003-00012-00000" (file, row group, slice).
        last: whether this is the last slice of its row group, so that a resume knows the row group to be complete.
        queries: rows of schema QUERIES, then kept columns, for each query that has pairs.
        pairs: rows of schema PAIRS, then kept columns, for each valid pair: a query's pairs together in the order of
            `queries` and, within a query, in first-stage order.
        rejected: rows of schema REJECTED.
        counts: what was met while reading: queries, empty_lists, empty_queries, empty_texts, nan_first_stage_scores;
            and IN_INPUT_ORDER where no list of the shard has ranks or scores.
        retried: where this shard holds only those pairs of a committed one that are scored again, the queries of all of
            that one, in order; else None.
        begun: what its scoring has begun with before its turn, in this process; it does not travel to another.
    """

    name: str
    last: bool
    queries: pa.Table
    pairs: pa.Table
    rejected: pa.Table
    counts: Counter[str] = field(default_factory=Counter)
    retried: tuple[str, ...] | None = None
    begun: Any = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "begun": None}
