"""Load the rerank API with many clients at once, and compare with the core alone.

    python scripts/stress/serve_load.py --seconds 600

Clients of this project ask a service in a process of its own as fast as they are answered, and check each score against
the core's. They do so in slices, and before each slice and after the last one the core alone scores the same lists in
this process: what else runs on the machine can halve its speed from one minute to the next, and so slows both alike.
Exit code 1 where an answer is lost or has another score than the core gives, in any bit, or the throughput is below the
share. The last line is for the docs.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq

from transforms.scoring import RankingTask, Reranker
from transforms.scoring.hosted.client import Client
from transforms.scoring.hosted.dialects import APIS, Query

REPOSITORY = Path(__file__).resolve().parents[2]
LISTS = REPOSITORY / "demo" / "dbpedia_entity_40x50.parquet"
SLICE = 15.0  # seconds of load, about, between two rounds of the core


def lists(path: Path, documents: int) -> list[RankingTask]:
    """Each query of a file with so many of its candidates, at most."""
    rows = pq.read_table(path, columns=["query", "candidates"]).to_pylist()
    return [RankingTask(row["query"], [entry["text"] for entry in row["candidates"][:documents]]) for row in rows]


def core(reranker: Reranker, tasks: Sequence[RankingTask]) -> tuple[int, float]:
    """Pairs that the core scores in one round of the lists, and its seconds."""
    begin = time.perf_counter()
    return len(reranker.score_tasks(tasks).score), time.perf_counter() - begin


@contextmanager
def service(model: str) -> Iterator[str]:
    """The address of a service that runs while the body does."""
    command = [sys.executable, "-m", "pipelines.serve", "--model", model, "--port", "0"]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        if " on http://" not in line:
            raise SystemExit(f"error: the service did not begin: {line.strip()}")
        yield line.split()[-1]
        early = process.poll()
        process.terminate()
        if process.wait() or early is not None:
            when = "by itself" if early is not None else "when it was asked to"
            raise SystemExit(f"error: the service ended {when} with {process.returncode}: {process.stderr.read()}")


class Load(NamedTuple):
    """What many clients met.

    Attributes:
        counts: pairs, wrong (answers), lost.
        waits: seconds of each request until its answer.
        seconds: until the last answer.
    """

    counts: Counter[str]
    waits: list[float]
    seconds: float


def load(
    address: str, tasks: Sequence[RankingTask], expected: Sequence[Sequence[float]], clients: int, seconds: float
) -> Load:
    """Clients that ask for some seconds, each as soon as it is answered; one that meets an error ends."""
    client = Client(address, APIS["common"], None, timeout=300, connect_timeout=10, connections=clients)
    begin = time.perf_counter()
    counts: Counter[str] = Counter()
    waits: list[float] = []
    lock = threading.Lock()

    def ask(number: int) -> None:
        chance = random.Random(number)
        own: Counter[str] = Counter()
        waited: list[float] = []
        while (start := time.perf_counter()) - begin < seconds:
            place = chance.randrange(len(tasks))
            task = tasks[place]
            try:
                scores = client.ask(Query(task.query), task.documents).scores
            except Exception as error:
                print(f"lost: {error}", file=sys.stderr)
                own["lost"] += 1
                break
            waited.append(time.perf_counter() - start)
            own["pairs"] += len(scores)
            own["wrong"] += list(scores) != expected[place]
        with lock:
            counts.update(own)
            waits.extend(waited)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(clients)))
    return Load(counts, waits, time.perf_counter() - begin)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small-cross-encoder")
    parser.add_argument("--lists", type=Path, default=LISTS, help="Parquet of one row a query")
    parser.add_argument("--documents", type=int, default=10, help="of a list, at most")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--share", type=float, default=0.8, help="of the core's throughput, at least")
    options = parser.parse_args()
    tasks = lists(options.lists, options.documents)
    reranker = Reranker.load(options.model)
    expected = reranker.score_lists(tasks)
    slices = max(1, round(options.seconds / SLICE))
    loads: list[Load] = []
    alone = []
    with service(options.model) as address:
        for _ in range(slices):
            alone.append(core(reranker, tasks))
            loads.append(load(address, tasks, expected, options.clients, options.seconds / slices))
            if loads[-1].counts["lost"]:
                break
        alone.append(core(reranker, tasks))
    counts = sum((each.counts for each in loads), Counter[str]())
    pairs, seconds = (sum(figures) for figures in zip(*alone, strict=True))
    served = sum(each.seconds for each in loads)
    speed, core_speed = counts["pairs"] / served, pairs / seconds
    by_round = sorted(pairs / seconds for pairs, seconds in alone)
    waits = [wait for each in loads for wait in each.waits]
    middle, slow = np.percentile(waits, [50, 99]) if waits else (np.nan, np.nan)
    print(f"core: {by_round[0]:.1f} to {by_round[-1]:.1f} pairs/s in {len(alone)} rounds")
    print(
        f"{options.clients} clients, {served:.0f} s: {len(waits):,} requests, {counts['pairs']:,} pairs, "
        f"{speed:.1f} pairs/s, {speed / core_speed:.0%} of the core's {core_speed:.1f}; {counts['lost']} lost, "
        f"{counts['wrong']} wrong; answered in {middle:.2f} s (p50), {slow:.2f} s (p99)"
    )
    return int(bool(counts["lost"] or counts["wrong"]) or speed < options.share * core_speed)


if __name__ == "__main__":
    sys.exit(main())
