"""Shards and scores of few rows, for tests of what is written of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.layout import part_name
from transforms.schema import REJECTED, Shard
from transforms.scoring.results import Scores

NAN = float("nan")
NAME = part_name(3, 12, 0)


def make_shard(
    queries: Sequence[tuple[str, Sequence[str]]],
    rejected: Sequence[dict[str, Any]] = (),
    name: str = NAME,
    last: bool = True,
    counts: Counter[str] | None = None,
    kept: bool = False,
) -> Shard:
    """A shard of (query id, doc ids); with `kept`, a kept column of the queries and the pairs' "text"."""
    docs = [doc for _, listed in queries for doc in listed]
    query_columns = {
        "query_id": pa.array([query for query, _ in queries], pa.string()),
        "query": pa.array([f"text of {query}" for query, _ in queries], pa.string()),
        "n_pairs": pa.array([len(listed) for _, listed in queries], pa.int32()),
    }
    pair_columns = [
        ("doc_id", pa.array(docs, pa.string())),
        ("text", pa.array([f"title {doc}" for doc in docs], pa.string())),
        ("first_stage_rank", pa.array([i + 1 for _, listed in queries for i in range(len(listed))], pa.int32())),
        ("first_stage_score", pa.array([None] * len(docs), pa.float64())),
        ("given_position", pa.array(range(len(docs)), pa.int32())),
        ("source_file", pa.array(["/data/cands.parquet"] * len(docs)).dictionary_encode()),
        ("source_row", pa.array([i for i, (_, listed) in enumerate(queries) for _ in listed], pa.int64())),
    ]
    if kept:
        query_columns["keep.language"] = pa.array([f"language of {query}" for query, _ in queries])
        pair_columns.append(("keep.text", pa.array([f"own text of {doc}" for doc in docs])))
    return Shard(
        name=name,
        last=last,
        queries=pa.table(query_columns),
        pairs=pa.Table.from_arrays([column for _, column in pair_columns], names=[name for name, _ in pair_columns]),
        rejected=pa.Table.from_pylist(list(rejected), schema=REJECTED),
        counts=Counter({"queries": len(queries)}) if counts is None else counts,
    )


def make_scores(*score: float, **rest: Any) -> Scores:
    return Scores(score=np.array(score, np.float32), **rest)
