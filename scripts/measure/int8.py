"""Is int8 worth it on this CPU? Speed and nDCG@10 of a cross-encoder with torch's dynamically quantised linear layers.

    python scripts/measure/int8.py MODEL

Scores the demonstration's candidates in turns as the job does (bfloat16) and with every linear layer of a float32 model
in int8, its inputs quantised as they come (oneDNN).
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from statistics import median

import ir_measures
import pyarrow.parquet as pq
import torch

from transforms.scoring import RankingTask, Reranker

DEMO = Path(__file__).resolve().parents[2] / "demo"
ROUNDS = 3


def quantised(model: str) -> Reranker:
    """The model in float32 with its linear layers in int8."""
    reranker = Reranker.load(model, device="cpu", dtype="float32")
    torch.backends.quantized.engine = "onednn"
    backbone = reranker.family.backbone  # type: ignore[attr-defined]
    backbone.model = torch.ao.quantization.quantize_dynamic(backbone.model, {torch.nn.Linear}, dtype=torch.qint8)
    return reranker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="directory or hub id of a cross-encoder, or an embedded model")
    model = parser.parse_args().model
    warnings.simplefilter("ignore")  # the quantisation module's own announcements

    [source], [judgements] = DEMO.glob("*.parquet"), DEMO.glob("*.qrels")
    lists = pq.read_table(source).to_pylist()
    tasks = [
        RankingTask(row["query"], [" ".join(filter(None, (c["title"], c["text"]))) for c in row["candidates"]])
        for row in lists
    ]
    pairs = [(row["query_id"], candidate["doc_id"]) for row in lists for candidate in row["candidates"]]
    qrels = list(ir_measures.read_trec_qrels(str(judgements)))
    arms = {"bfloat16": Reranker.load(model, device="cpu", dtype="bfloat16"), "int8": quantised(model)}
    speeds: dict[str, list[float]] = {name: [] for name in arms}
    quality = {}
    for _ in range(ROUNDS):
        for name, reranker in arms.items():
            start = time.perf_counter()
            scores = reranker.score_tasks(tasks).score
            speeds[name].append(len(pairs) / (time.perf_counter() - start))
            run = [ir_measures.ScoredDoc(*pair, float(score)) for pair, score in zip(pairs, scores, strict=True)]
            quality[name] = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run)[ir_measures.nDCG @ 10]
    for name in arms:
        print(f"{name:>8}: {median(speeds[name]):8.1f} pairs/s, nDCG@10 {quality[name]:.4f}")
    print(f"int8 is {median(speeds['int8']) / median(speeds['bfloat16']):.2f} times as fast")


if __name__ == "__main__":
    main()
