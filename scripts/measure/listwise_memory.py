"""Peak memory and time of a listwise model on one full context, on the CPU.

    python scripts/measure/listwise_memory.py --model DIRECTORY

64 documents of 2,047 tokens fill a context of 131,072 tokens.
"""

from __future__ import annotations

import argparse
import resource
import time

from transforms.scoring import RankingTask, Reranker

DOCUMENTS, WORDS = 64, 2047


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="directory or hub id of a listwise model")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    args = parser.parse_args()

    reranker = Reranker.load(args.model, device="cpu", dtype=args.dtype)
    start = time.perf_counter()
    scores = reranker.score_tasks([RankingTask("query", ["the" + " the" * (WORDS - 1)] * DOCUMENTS)])
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts it in KiB
    assert scores.counts["forward_passes"] == 1, "the documents were to fill one context"
    print(f"{scores.counts['forward_tokens']:,} tokens in one context: {seconds:.0f} s, peak {peak / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
