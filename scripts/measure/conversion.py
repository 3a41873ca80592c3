"""Time and peak memory of converting a TSV file of MS MARCO's form into the Parquet that the reranking job reads.

python scripts/measure/conversion.py --rows 10000000
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import time
from pathlib import Path

from transforms.input.conversion.convert import convert
from transforms.input.names import ColumnNames

CANDIDATES = 1000  # of a query, as in MS MARCO's top1000.dev
CHARACTERS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    rows = parser.parse_args().rows
    chance = random.Random(0)
    texts = [f"{chance.getrandbits(4 * CHARACTERS):x}" for _ in range(2000)]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "top1000.dev")
        with path.open("w", encoding="utf-8") as stream:
            for row in range(rows):
                query, document = divmod(row, CANDIDATES)
                stream.write(f"{query}\t{row}\twhat is {query}\t{texts[(7 * query + document) % len(texts)]}\n")
        start, before = time.monotonic(), peak()
        convert(str(path), f"{name}/out", ColumnNames())
        seconds = time.monotonic() - start
        print(f"{rows:,} rows, {path.stat().st_size / 1e9:.2f} GB: {seconds:.1f} s, {rows / seconds:,.0f} rows/s")
        print(f"memory: {before:.2f} GB before, {peak():.2f} GB at the peak")


def peak() -> float:
    """Of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


if __name__ == "__main__":
    main()
