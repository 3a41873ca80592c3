"""What an export takes, by format: pairs a second of the clock and of the processor, and memory.

A finished job of a million pairs is exported.

    python scripts/measure/export.py

The job's output is made of random scores, in shards as the job has them; each export runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eval.export.options import NAMES
from transforms.input.inputs import inspect
from transforms.input.plan import plan, save_plan
from transforms.input.reader import read_shards
from transforms.job.record import new_job
from transforms.layout import JOB, RERANKING, SUCCESS
from transforms.output.commit import Stamp, commit
from transforms.scoring.results import Scores

CANDIDATES, ROW_GROUP = 100, 500
TEXT = "a passage of some length, as retrieval has them: " * 10
RUN = """
import sys
from pathlib import Path
from eval.__main__ import main
import duckdb, pyarrow.parquet, eval.export.job

def highest():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith("VmHWM"))

Path("/proc/self/clear_refs").write_text("5")  # the highest from here on; else it were the parent's
start = highest()
code = main(sys.argv[1:])
print(highest() - start)
sys.exit(code)
"""


def write_input(path: Path, queries: int) -> None:
    """Nested input of queries with 100 passages of 500 characters each, of 200,000 documents."""
    writer = None
    for start in range(0, queries, ROW_GROUP):
        numbers = range(start, min(start + ROW_GROUP, queries))
        lists = [
            [
                {"doc_id": f"d{(n * CANDIDATES + c) % 200_000}", "text": f"{(n * CANDIDATES + c) % 200_000} {TEXT}"}
                for c in range(CANDIDATES)
            ]
            for n in numbers
        ]
        table = pa.table(
            {"query_id": [f"q{n}" for n in numbers], "query": ["which?"] * len(lists), "candidates": lists}
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def write_output(source: Path, output: Path) -> None:
    """What a job of this input leaves, with random scores."""
    output.mkdir()
    inputs = inspect([str(source)])
    options: dict[str, Any] = {"keep_columns": [], "text_template": None, "shard_pairs": 16_384}
    job = new_job(inputs, kind=RERANKING.kind, model={}, options=options, execution={}, command={})
    made = plan(inputs)
    save_plan(str(output), inputs, made)
    generator = np.random.default_rng(0)
    for unit in made.units:
        for shard in read_shards(unit):
            scores = Scores(generator.normal(size=shard.pairs.num_rows).astype(np.float32))
            commit(str(output), shard, scores, stamp=Stamp(job.fingerprint))
    (output / JOB).write_text(json.dumps(asdict(job)), encoding="utf-8")
    (output / SUCCESS).touch()


def processor() -> float:
    """Seconds of the processor that ended child processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--formats", nargs="+", choices=NAMES, default=NAMES)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "in.parquet"), Path(folder, "out")
        write_input(source, arguments.queries)
        write_output(source, output)
        for form in arguments.formats:
            words = ["export", str(output), "--to", f"{folder}/{form}", "--format", form]
            start, before = time.perf_counter(), processor()
            done = subprocess.run([sys.executable, "-c", RUN, *words], check=True, capture_output=True, text=True)
            seconds, busy = time.perf_counter() - start, processor() - before
            pairs, memory = arguments.queries * CANDIDATES, int(done.stdout.split()[-1]) / 1024
            print(
                f"{form:15}{pairs / seconds:10,.0f} pairs/s, {pairs / busy:10,.0f} a second of the processor, start "
                f"included{memory:8.0f} MiB above it",
                flush=True,
            )


if __name__ == "__main__":
    main()
