"""Scores and nDCG@10 of a cross-encoder here against those of sentence-transformers, in float32 on a CPU.

    python scripts/measure/compare_with_sentence_transformers.py MODEL DATA [NAME ...]

MODEL is a directory with a one-label BERT or XLM-R classifier. DATA holds candidates/NAME.parquet and qrels/NAME.qrels.
Exit code 1 where nDCG@10 differs by more than 0.002 or a score by more than 0.0001.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import ir_measures
import numpy as np
import pyarrow.parquet as pq
import torch
from ir_measures import nDCG
from sentence_transformers import CrossEncoder

from transforms.scoring import RankingTask, Reranker

NAMES = ("bench_dbpedia_entity_sample", "ci_cosqa_40x30", "ci_scifact_40x30")


class Comparison(NamedTuple):
    name: str
    pairs: int
    ndcg_here: float
    ndcg_there: float
    largest_difference: float  # of two scores of one pair

    @property
    def agrees(self) -> bool:
        return abs(self.ndcg_here - self.ndcg_there) <= 0.002 and self.largest_difference <= 1e-4


def compare(data: Path, name: str, here: Reranker, peer: CrossEncoder) -> Comparison:
    lists = pq.read_table(data / "candidates" / f"{name}.parquet").to_pylist()
    tasks = [
        RankingTask(row["query"], [" ".join(filter(None, (d["title"], d["text"]))) for d in row["candidates"]])
        for row in lists
    ]
    ids = [(row["query_id"], document["doc_id"]) for row in lists for document in row["candidates"]]
    scores_here = np.concatenate(here.score_lists(tasks))
    peer_scores = peer.predict([(task.query, text) for task in tasks for text in task.documents], batch_size=16)
    qrels = list(ir_measures.read_trec_qrels(str(data / "qrels" / f"{name}.qrels")))

    def ndcg(scores: np.ndarray) -> float:
        run = [ir_measures.ScoredDoc(query, doc, float(score)) for (query, doc), score in zip(ids, scores, strict=True)]
        return float(ir_measures.calc_aggregate([nDCG @ 10], qrels, run)[nDCG @ 10])

    return Comparison(
        name, len(ids), ndcg(scores_here), ndcg(peer_scores), float(np.abs(scores_here - peer_scores).max())
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("names", nargs="*", default=NAMES)
    arguments = parser.parse_args()

    here = Reranker.load(str(arguments.model), device="cpu", dtype="float32")
    peer = CrossEncoder(
        str(arguments.model),
        device="cpu",
        activation_fn=torch.nn.Identity(),
        local_files_only=True,
        model_kwargs={"dtype": torch.float32},
    )
    print("| candidates | pairs | nDCG@10 here | sentence-transformers | largest difference of a score |")
    print("|---|---|---|---|---|", flush=True)
    comparisons = []
    for name in arguments.names:
        done = compare(arguments.data, name, here, peer)
        comparisons.append(done)
        cells = (name, done.pairs, f"{done.ndcg_here:.4f}", f"{done.ndcg_there:.4f}", f"{done.largest_difference:.1e}")
        print("|", " | ".join(map(str, cells)), "|", flush=True)
    return 0 if all(done.agrees for done in comparisons) else 1


if __name__ == "__main__":
    sys.exit(main())
