"""What a job does besides scoring, at scale: the pass over all query ids, and the look at what is committed.

    python scripts/measure/bookkeeping.py

Plans an input of a million queries in row groups of a thousand, then commits 2,000 shards of 1,000 pairs and reads back
which there are, as a job that continues does. All on the local disk.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.input.inputs import inspect
from transforms.input.plan import plan
from transforms.input.reader import read_shards
from transforms.layout import part_name
from transforms.output.commit import commit
from transforms.output.parts import committed
from transforms.scoring.results import Scores

ROW_GROUP = 1_000
CANDIDATES = 100


def write_queries(path: Path, queries: int, candidates: int) -> None:
    """Nested input with short texts and ids like those of a hash."""
    entry = [{"doc_id": f"document-{place:09d}", "text": "a few words"} for place in range(candidates)]
    with pq.ParquetWriter(path, _rows(0, 1, entry).schema) as writer:
        for start in range(0, queries, ROW_GROUP):
            writer.write_table(_rows(start, min(start + ROW_GROUP, queries), entry))


def _rows(start: int, stop: int, candidates: list[dict[str, str]]) -> pa.Table:
    ids = [f"{number * 0x9E3779B97F4A7C15 % (1 << 64):016x}" for number in range(start, stop)]
    return pa.table({"query_id": ids, "query": ids, "candidates": [candidates] * len(ids)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--parts", type=int, default=2_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "queries.parquet")
        write_queries(source, arguments.queries, 1)
        start = time.perf_counter()
        made = plan(inspect([str(source)]))
        seconds = time.perf_counter() - start
        print(f"planned {arguments.queries:,} queries in {len(made.units):,} row groups: {seconds:.1f} s", flush=True)

        source, output = Path(folder, "pairs.parquet"), str(Path(folder, "out"))
        write_queries(source, ROW_GROUP // CANDIDATES, CANDIDATES)
        [unit] = plan(inspect([str(source)])).units
        [shard] = read_shards(unit)
        scores = Scores(np.random.default_rng(0).normal(size=ROW_GROUP).astype(np.float32))
        start = time.perf_counter()
        for number in range(arguments.parts):
            commit(output, replace(shard, name=part_name(0, number, 0)), scores)
        written = time.perf_counter() - start
        start = time.perf_counter()
        parts = committed(output)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        committed(output, whole=())
        whole = time.perf_counter() - start
        print(
            f"{len(parts):,} parts of {ROW_GROUP:,} pairs: committed in {written:.1f} s, inspected in {seconds:.1f} s, "
            f"read from end to end in {whole:.1f} s"
        )


if __name__ == "__main__":
    main()
