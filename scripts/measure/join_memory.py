"""Peak memory of joining a run with a corpus of 1,000,000 documents.

    python scripts/measure/join_memory.py

Documents of 1,000 characters in one JSON lines file, 6,000 queries, and a run of 100 documents each, drawn at random
from the whole corpus: 600,000 pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT = 2e9
DEPTH = 100


def write_input(folder: Path, documents: int, characters: int, queries: int) -> None:
    """corpus.jsonl, queries.jsonl and run.txt; texts hardly compress."""
    chance = random.Random(0)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8") as stream:
        for number in range(documents):
            text = f"{chance.getrandbits(4 * characters):x}"
            stream.write(json.dumps({"_id": f"d{number}", "title": f"document {number}", "text": text}) + "\n")
    with (folder / "queries.jsonl").open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps({"_id": f"q{number}", "text": "a query"}) + "\n" for number in range(queries))
    with (folder / "run.txt").open("w", encoding="utf-8") as stream:
        for number in range(queries):
            for rank, document in enumerate(chance.sample(range(documents), DEPTH), start=1):
                stream.write(f"q{number} Q0 d{document} {rank} {DEPTH - rank} run\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--characters", type=int, default=1_000)
    parser.add_argument("--queries", type=int, default=6_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_input(folder, arguments.documents, arguments.characters, arguments.queries)
        command = [
            *(sys.executable, "-m", "pipelines.candidates", "--retriever", f"run:{folder}/run.txt"),
            *("--corpus", f"{folder}/corpus.jsonl", "--queries", f"{folder}/queries.jsonl"),
            *("--output", f"{folder}/out", "--depth", str(DEPTH), "--runner", "DirectRunner"),
        ]
        start = time.monotonic()
        process = subprocess.Popen(command, cwd=REPOSITORY)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit("the job failed")
        size = (folder / "corpus.jsonl").stat().st_size
        print(
            f"{arguments.documents:,} documents, {size / 1e9:.2f} GB: peak {usage.ru_maxrss * 1024 / 1e9:.2f} GB, "
            f"allowed {LIMIT / 1e9:.2f} GB; {time.monotonic() - start:.0f} s"
        )
    return int(usage.ru_maxrss * 1024 > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
