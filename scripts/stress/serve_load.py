"""Load the rerank API with many clients at once, and compare with the core alone.

    python scripts/stress/serve_load.py --seconds 600

Clients of this project ask a service in a process of its own as fast as they are answered, and check each score against
the core's. The core scores the same lists in this process right before and right after, so that a machine that slows
down slows both. Exit code 1 where an answer is lost or wrong, or the throughput is below the share.
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

import numpy as np
import pyarrow.parquet as pq

from transforms.scoring import RankingTask, Reranker
from transforms.scoring.hosted.client import Client
from transforms.scoring.hosted.dialects import APIS, Query

REPOSITORY = Path(__file__).resolve().parents[2]
LISTS = REPOSITORY / "demo" / "dbpedia_entity_40x50.parquet"
# Between scores of one pair in bfloat16 whose forward pass had other pairs with it.
TOLERANCE = 0.1


def lists(path: Path, documents: int) -> list[RankingTask]:
    """Each query of a file with so many of its candidates, at most."""
    rows = pq.read_table(path, columns=["query", "candidates"]).to_pylist()
    return [RankingTask(row["query"], [entry["text"] for entry in row["candidates"][:documents]]) for row in rows]


def core_speed(reranker: Reranker, tasks: Sequence[RankingTask], seconds: float) -> float:
    """Pairs a second of the core, over whole rounds of the lists that take so long together."""
    begin, pairs = time.perf_counter(), 0
    while (passed := time.perf_counter() - begin) < seconds:
        pairs += len(reranker.score_tasks(tasks).score)
    return pairs / passed


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
        process.terminate()
        if code := process.wait():
            raise SystemExit(f"error: the service ended with {code}: {process.stderr.read()}")


def load(address: str, tasks: Sequence[RankingTask], clients: int, seconds: float) -> tuple[Counter[str], float]:
    """What many clients counted in some seconds, and the seconds until the last answer.

    Counts: pairs, answers, wrong, lost.
    """
    client = Client(address, APIS["common"], None, timeout=300, connect_timeout=10, connections=clients)
    begin = time.perf_counter()
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def ask(number: int) -> None:
        chance = random.Random(number)
        own: Counter[str] = Counter()
        while time.perf_counter() - begin < seconds:
            place = chance.randrange(len(tasks))
            task = tasks[place]
            try:
                scores = client.ask(Query(task.query), task.documents).scores
            except Exception as error:
                print(f"lost: {error}", file=sys.stderr)
                own["lost"] += 1
                continue
            own["answers"] += 1
            own["pairs"] += len(scores)
            own["wrong"] += not np.allclose(scores, EXPECTED[place], atol=TOLERANCE, rtol=0)
        with lock:
            counts.update(own)

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(ask, range(clients)))
    return counts, time.perf_counter() - begin


EXPECTED: list[list[float]] = []


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
    EXPECTED.extend(reranker.score_lists(tasks))
    core_seconds = min(60.0, options.seconds / 4)
    before = core_speed(reranker, tasks, core_seconds)
    with service(options.model) as address:
        counts, passed = load(address, tasks, options.clients, options.seconds)
    core = (before + core_speed(reranker, tasks, core_seconds)) / 2
    speed = counts["pairs"] / passed
    print(
        f"{options.clients} clients, {passed:.0f} s: {counts['answers']:,} answers, {counts['lost']} lost, "
        f"{counts['wrong']} wrong; {speed:.1f} pairs/s, {speed / core:.0%} of the core's {core:.1f}"
    )
    return int(bool(counts["lost"] or counts["wrong"]) or speed < options.share * core)


if __name__ == "__main__":
    sys.exit(main())
