"""What a job of many small input files costs besides the model: planning, reading and committing, by number of files.

    python scripts/measure/many_files.py --files 500 5000 20000
    python scripts/measure/many_files.py --files 100 --model small-cross-encoder --threads 1

Each file has one query with ten candidates, and becomes a part of its own. The steps are those of a job, in one process
without Beam and without a model (every score is 0), on the local disk. With a model whole jobs are measured instead, of
the files and of one file with the same pairs, in turn; the first one's time has what a process does once, too.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.rerank import RerankRequest, rerank
from transforms.input.inputs import inspect
from transforms.input.plan import plan
from transforms.input.reader import read_shards
from transforms.output import commit as committing
from transforms.scoring.results import Scores

CANDIDATES = 10
# Those of a document, where a model reads them: about 130 tokens of WordPiece with the query.
WORDS = range(70, 171)
VOCABULARY = ("river", "music", "stone", "window", "paper", "light", "summer", "engine", "market", "garden", "science")


def write_files(folder: Path, files: int, lengths: Sequence[int] = (4,)) -> list[str]:
    """As many files of one query each, with documents of so many words, drawn at random; returns their paths."""
    draw = random.Random(0)
    folder.mkdir()
    paths = [str(folder / f"{number:06d}.parquet") for number in range(files)]
    for number, path in enumerate(paths):
        texts = [" ".join(draw.choices(VOCABULARY, k=draw.choice(lengths))) for _ in range(CANDIDATES)]
        entries = [{"doc_id": f"d{place}", "text": text} for place, text in enumerate(texts)]
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


def measure_steps(folder: Path, files: int) -> None:
    """Print what each step costs a file."""
    paths, output = write_files(folder / "in", files), str(folder / "out")
    seconds = {"cpu": 0.0, "wall": 0.0}
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


def measure_jobs(folder: Path, files: int, model: str, threads: int | None, repeats: int) -> None:
    """Print what jobs of the files, and of one file with the same pairs, took, and how much of it the model."""
    many, one = folder / "many", folder / "one.parquet"
    pq.write_table(pa.concat_tables(map(pq.read_table, write_files(many, files, WORDS))), one)
    for repeat in range(repeats):
        for name, source in (("many", many), ("one", one)):
            output = str(folder / f"{name}-{repeat}")
            request = RerankRequest(input=(str(source),), output=output, model=model, threads=threads)
            cpu, wall = time.process_time(), time.perf_counter()
            report = rerank(request).report
            used, passed = time.process_time() - cpu, time.perf_counter() - wall
            forward = report["last_run"]["stage_seconds"]["forward"]
            print(
                f"  {name:<5}{report['forward_passes']:,} passes: {used:.1f} s CPU, {passed:.1f} s, "
                f"{forward:.1f} of them the model's; beside it {1000 * (passed - forward) / files:.2f} ms a file",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, nargs="+", default=[500, 5_000])
    parser.add_argument("--model", help="measure whole jobs with it")
    parser.add_argument("--threads", type=int, help="of the model; with one, other work matters least to CPU time")
    parser.add_argument("--repeats", type=int, default=2, help="of the jobs")
    arguments = parser.parse_args()
    for files in arguments.files:
        print(f"{files:,} files of {CANDIDATES} pairs", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            if arguments.model is None:
                measure_steps(Path(folder), files)
            else:
                measure_jobs(Path(folder), files, arguments.model, arguments.threads, arguments.repeats)


if __name__ == "__main__":
    main()
