"""A million short pairs through the whole job: does its memory stay flat and its speed steady?

    python scripts/stress/soak.py

Queries of 5 words with lists of 100 documents of 10, some 20 tokens a pair, scored with the embedded model. What the
job uses is measured every so often from outside: resident memory of the process and of those that it started, and
pairs in committed parts. At the end the two halves are compared: what is leaked grows in the second as
in the first, while buffers and caches that fill up do not. Speed is judged without the first tenth, in which everything
is loaded.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.layout import PART_PATTERN, SCORED_DIRECTORY

REPOSITORY = Path(__file__).resolve().parents[2]
LIST_SIZE = 100
WORDS = sorted({word for word in Path(__file__).read_text().split() if word.isalpha()})
# Beyond these the verdict is no: the second half's peak, and the speed of the slowest fifth after the first tenth.
GROWTH, SLOWEST = 1.05, 0.8
MOMENTS = 6  # the ends of five fifths


class Look(NamedTuple):
    """What is seen of the job at a moment."""

    seconds: float
    pairs: int
    memory: int  # bytes


def write_input(path: Path, pairs: int) -> None:
    """Row groups of 16,000 pairs, every text shuffled anew."""
    chance = random.Random(0)

    def text(words: int) -> str:
        return " ".join(chance.choices(WORDS, k=words))

    writer = None
    lists = pairs // LIST_SIZE
    for start in range(0, lists, 160):
        table = pa.Table.from_pylist(
            [
                {
                    "query_id": str(query),
                    "query": text(5),
                    "candidates": [{"doc_id": str(i), "text": text(10)} for i in range(LIST_SIZE)],
                }
                for query in range(start, min(start + 160, lists))
            ]
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def memory(process: psutil.Process) -> int:
    """Resident bytes of a process and of those that it started."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:  # it has just ended
            continue
    return total


def committed_pairs(output: Path) -> int:
    return sum(pq.read_metadata(path).num_rows for path in output.glob(f"{SCORED_DIRECTORY}/{PART_PATTERN}"))


def watch(process: subprocess.Popen[str], output: Path, every: float) -> list[Look]:
    """Measures the job until it ends, and prints those measurements at which more was done than at the one before."""
    looks: list[Look] = []
    before = Look(0, 0, 0)
    start = time.monotonic()
    print(f"{'seconds':>9} {'pairs':>11} {'pairs/s':>9} {'MB':>7}")
    while process.poll() is None:
        time.sleep(every)
        try:
            used = memory(psutil.Process(process.pid))
        except psutil.NoSuchProcess:
            break
        if not used:  # it has ended just now
            break
        look = Look(time.monotonic() - start, committed_pairs(output), used)
        looks.append(look)
        if look.pairs > before.pairs:
            speed = (look.pairs - before.pairs) / (look.seconds - before.seconds)
            print(f"{look.seconds:>9.0f} {look.pairs:>11,} {speed:>9.0f} {look.memory / 1e6:>7.0f}", flush=True)
            before = look
    return looks


def verdict(looks: list[Look]) -> bool:
    """Prints how memory and speed went; whether the one was flat and the other steady."""
    total = looks[-1].pairs if looks else 0
    early = [look for look in looks if look.pairs <= total / 10]
    if not early or len(looks) - len(early) < MOMENTS:
        print("ended after too few looks to judge: give more --pairs, or fewer seconds with --every")
        return False
    late = looks[len(early) :]
    half = next(place for place, look in enumerate(looks) if look.pairs >= total / 2)
    peaks = [max(look.memory for look in part) for part in (early, looks[:half], looks[half:])]
    grown = peaks[2] / peaks[1]
    fifths = [min(late, key=lambda look: abs(look.pairs - total * (0.1 + 0.18 * i))) for i in range(MOMENTS)]
    speeds = [(b.pairs - a.pairs) / (b.seconds - a.seconds) for a, b in pairwise(fifths)]
    slowest = min(speeds) / max(speeds)
    print(
        f"memory: peaks of {peaks[0] / 1e6:,.0f} MB in the first tenth, {peaks[1] / 1e6:,.0f} MB in the first half, "
        f"{peaks[2] / 1e6:,.0f} MB in the second, {late[-1].memory / 1e6:,.0f} MB at the end"
    )
    print(f"speed: {', '.join(f'{speed:,.0f}' for speed in speeds)} pairs/s in the fifths of the rest")
    print(f"memory {'flat' if grown <= GROWTH else 'GREW'} ({grown - 1:+.1%})")
    print(f"speed {'steady' if slowest >= SLOWEST else 'NOT STEADY'} (slowest fifth {slowest:.0%} of the fastest)")
    return grown <= GROWTH and slowest >= SLOWEST


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--every", type=float, default=None, help="seconds between looks; by default by --pairs")
    parser.add_argument("extra", nargs="*", help="further options of the job, after --")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "in.parquet"), Path(folder, "out")
        write_input(source, arguments.pairs)
        command = [
            *(sys.executable, "-m", "pipelines.rerank", "--input", str(source), "--output", str(output)),
            *("--model", "small-cross-encoder", "--runner", "DirectRunner", "--shard_pairs", "2000", *arguments.extra),
        ]
        errors = Path(folder, "errors")
        with errors.open("w") as stream:
            process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=stream, text=True)
        looks = watch(process, output, arguments.every or max(1.0, arguments.pairs / 100_000))
        summary, _ = process.communicate()
        print(summary, end="")
        if process.returncode:
            print(f"the job failed with {process.returncode}:\n{errors.read_text()}", file=sys.stderr)
            return 1
        return 0 if verdict(looks) else 1


if __name__ == "__main__":
    sys.exit(main())
