"""Peak memory of the main job on a 1 GB Parquet file against that on a 10 MB one.

    python scripts/measure/memory.py

50,000 pairs of 20,000 characters in one row group, scored with the embedded model at --max_length 64, so that reading
and not scoring is the load; then 500 pairs of the same kind.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

REPOSITORY = Path(__file__).resolve().parents[2]
WORDS = Path(__file__).read_text().split()
PAIRS_A_QUERY = 50
LIMIT = 1.5e9


def write_input(path: Path, pairs: int, characters: int) -> None:
    """One row group of lists of 50 documents that hardly compress, since every text is shuffled anew."""
    chance = random.Random(0)
    queries = []
    for query in range(pairs // PAIRS_A_QUERY):
        documents = []
        for document in range(PAIRS_A_QUERY):
            text = " ".join(f"{word}{chance.getrandbits(48):x}" for word in chance.choices(WORDS, k=characters // 12))
            documents.append({"doc_id": str(document), "text": text[:characters]})
        queries.append({"query_id": str(query), "query": "which words are shuffled", "candidates": documents})
    pq.write_table(pa.Table.from_pylist(queries), path, row_group_size=len(queries), compression="none")


def peak(source: Path, output: Path) -> tuple[float, float]:
    """Peak resident bytes and seconds of the job."""
    command = [
        *(sys.executable, "-m", "pipelines.rerank", "--input", str(source), "--output", str(output)),
        *("--model", "small-cross-encoder", "--max_length", "64", "--runner", "DirectRunner"),
    ]
    start = time.monotonic()
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the job failed on {source}")
    return usage.ru_maxrss * 1024.0, time.monotonic() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--characters", type=int, default=20_000)
    arguments = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for pairs in (arguments.pairs // 100, arguments.pairs):
            source = Path(folder, f"{pairs}.parquet")
            # A new process' peak begins with what the one that starts it has held, so that this one must stay small.
            with ProcessPoolExecutor(1) as apart:
                apart.submit(write_input, source, pairs, arguments.characters).result()
            bytes_used, seconds = peak(source, Path(folder, f"out-{pairs}"))
            peaks.append(bytes_used)
            size = f"{source.stat().st_size / 1e6:>8,.1f} MB"
            print(f"{pairs:>7,} pairs, {size}: peak {bytes_used / 1e9:.2f} GB, {seconds:.0f} s", flush=True)
    print(f"difference {(peaks[1] - peaks[0]) / 1e9:.2f} GB; allowed {LIMIT / 1e9} GB")
    return 0 if peaks[1] - peaks[0] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
