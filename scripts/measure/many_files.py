"""What a job of many small input files costs besides the model: planning, reading and committing, by number of files.

    python scripts/measure/many_files.py --files 500 5000 20000

Each file has one query with ten candidates, and becomes a part of its own. The steps are those of a job, in one process
without Beam and without a model (every score is 0), on the local disk.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.input.inputs import inspect
from transforms.input.plan import plan
from transforms.input.reader import read_shards
from transforms.output import commit as committing
from transforms.scoring.results import Scores

CANDIDATES = 10


def write_files(folder: Path, files: int) -> list[str]:
    """As many files of one query each; returns their paths."""
    entries = [{"doc_id": f"d{place}", "text": f"a few words {place}"} for place in range(CANDIDATES)]
    paths = [str(folder / f"{number:06d}.parquet") for number in range(files)]
    for number, path in enumerate(paths):
        pq.write_table(pa.table({"query_id": [f"q{number}"], "query": ["a query"], "candidates": [entries]}), path)
    return paths


@contextmanager
def timed(step: str, files: int, seconds: dict[str, float]) -> Iterator[None]:
    """Adds the CPU time and the wall-clock time of the body, in milliseconds a file, to the line that is printed."""
    cpu, wall = time.process_time(), time.perf_counter()
    yield
    used, passed = time.process_time() - cpu, time.perf_counter() - wall
    seconds["cpu"] += used
    seconds["wall"] += passed
    print(f"  {step:<8} {1000 * used / files:5.2f} ms CPU, {1000 * passed / files:5.2f} ms a file", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[500, 5_000])
    for files in parser.parse_args().files:
        with tempfile.TemporaryDirectory() as folder:
            paths, output = write_files(Path(folder), files), str(Path(folder, "out"))
            seconds = {"cpu": 0.0, "wall": 0.0}
            print(f"{files:,} files of {CANDIDATES} pairs")
            with timed("inspect", files, seconds):
                inputs = inspect(paths)
            with timed("plan", files, seconds):
                units = plan(inputs).units
            with timed("read", files, seconds):
                shards = [shard for unit in units for shard in read_shards(unit)]
            with timed("commit", files, seconds):
                for shard in shards:
                    committing.commit(output, shard, Scores(score=np.zeros(shard.pairs.num_rows, np.float32)))
        rates = ", ".join(f"{files / value:,.0f} files/s by {kind}" for kind, value in seconds.items())
        print(f"  in all   {rates}", flush=True)


if __name__ == "__main__":
    main()
