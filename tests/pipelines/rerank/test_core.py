"""The job's scores beside those of the core."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.input_files import write
from tests.support.job_run import parts, report, rerank, rows
from transforms.schema import SCORED
from transforms.scoring import Reranker

SCIFACT = Path(__file__).parents[2] / "data" / "scifact_10x30.parquet"


def test_every_pair_is_scored_once_in_order_with_the_scores_of_the_core(tmp_path: Path) -> None:
    """Real texts and the embedded model; what the core gives for each list alone is what the job writes."""
    table = pq.read_table(SCIFACT)
    lists = [row | {"candidates": row["candidates"][:10]} for row in table.slice(0, 3).to_pylist()]
    source = Path(write(tmp_path / "in.parquet", pa.Table.from_pylist(lists, table.schema)))
    assert rerank(source, tmp_path / "out", "small-cross-encoder", "--shard_pairs", "20") == 0
    assert len(parts(tmp_path / "out")) == 2
    written = rows(tmp_path / "out")
    assert sorted((row["query_id"], row["doc_id"]) for row in written) == sorted(
        (entry["query_id"], listed["doc_id"]) for entry in lists for listed in entry["candidates"]
    )
    reranker = Reranker.load("small-cross-encoder", dtype="float32")
    first = lists[0]
    documents = [
        f"{listed['title']} {listed['text']}" if listed.get("title") else listed["text"]
        for listed in first["candidates"]
    ]
    expected = dict(
        zip(
            (listed["doc_id"] for listed in first["candidates"]), reranker.score(first["query"], documents), strict=True
        )
    )
    scores_of_first = {row["doc_id"]: row["score"] for row in written if row["query_id"] == first["query_id"]}
    assert scores_of_first == pytest.approx(expected, abs=1e-5)
    for _, group in groupby(written, key=lambda row: row["query_id"]):
        ranked = list(group)
        assert [row["rank"] for row in ranked] == list(range(1, len(ranked) + 1))
        keys = [(row["score"], row["doc_id"]) for row in ranked]
        assert keys == sorted(keys, reverse=True)
    schema = pq.read_schema(next((tmp_path / "out" / "scored").glob("*.parquet")))
    assert schema.remove_metadata() == SCORED
    assert report(tmp_path / "out")["pairs"]["scored"] == 30
    assert (tmp_path / "out" / "_SUCCESS").exists()
