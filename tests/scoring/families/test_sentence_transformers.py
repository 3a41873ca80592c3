"""A trained model on real pairs against sentence-transformers' CrossEncoder.

scripts/measure/compare_with_sentence_transformers.py does the same on whole candidate lists, with nDCG@10.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from sentence_transformers import CrossEncoder

from transforms.scoring import RankingTask, Reranker

LISTS = ("ci_dbpedia_graded_40x50", "ci_cosqa_40x30", "ci_scifact_40x30")


def test_scores_are_those_of_sentence_transformers(fixtures: Path) -> None:
    tasks = []
    for name in LISTS:
        [row] = pq.read_table(fixtures / "data" / "candidates" / f"{name}.parquet").slice(1, 1).to_pylist()
        tasks.append(RankingTask(row["query"], [document["text"] for document in row["candidates"][:4]]))
    # One pair that has to be cut to the model's 512 tokens.
    tasks.append(RankingTask(tasks[2].query, [" ".join(tasks[2].documents)]))

    folder = str(fixtures / "models" / "ms-marco-MiniLM-L12-v2")
    reranker = Reranker.load(folder, device="cpu", dtype="float32")
    scores = np.concatenate(reranker.score_lists(tasks))
    theirs = CrossEncoder(
        folder,
        device="cpu",
        activation_fn=torch.nn.Identity(),
        local_files_only=True,
        model_kwargs={"dtype": torch.float32},
    )
    expected = theirs.predict([(task.query, document) for task in tasks for document in task.documents])
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    assert np.ptp(expected) > 5
