"""Beam's RunInference with a reranker as the model: shards in, shards with their scores out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from apache_beam.ml.inference.base import ModelHandler

from transforms.progress import progress_writer
from transforms.schema import Shard
from transforms.scoring.endpoint import EndpointSpecification
from transforms.scoring.reranker import Specification
from transforms.scoring.results import RankingTask, Scores
from transforms.scoring.scorer import Scorer

ScoredShard = tuple[Shard, Scores]


class RerankerHandler(ModelHandler[Shard, ScoredShard, Scorer]):
    """Loads one reranker in each worker process and scores whole shards with it.

    An element of RunInference is already a batch, `[shard]`: Beam need not, and could not well, batch pairs by length.
    """

    def __init__(
        self, specification: Specification | EndpointSpecification, progress_folder: str | None = None
    ) -> None:
        """Take what is to be loaded; `progress_folder` is where to account for progress, see `transforms.progress`."""
        super().__init__()
        self._specification = specification
        self._progress_folder = progress_folder

    def load_model(self) -> Scorer:
        """The loaded model, or the endpoint to ask."""
        return self._specification.load()

    def run_inference(
        self, batch: Sequence[Shard], model: Scorer, inference_args: dict[str, Any] | None = None
    ) -> list[ScoredShard]:
        """Each shard with the scores of its pairs, in the order of `shard.pairs`."""
        progress = progress_writer(self._progress_folder)
        return [(shard, model.score_tasks(list(tasks_of(shard)), progress.add)) for shard in batch]

    def should_skip_batching(self) -> bool:
        """Always: what comes is a batch."""
        return True

    def get_num_bytes(self, batch: Sequence[Shard]) -> int:
        """Bytes of the pairs; Beam's own way pickles the whole batch for this figure."""
        return int(np.sum([shard.pairs.nbytes for shard in batch]))

    def get_metrics_namespace(self) -> str:
        """The namespace of Beam's own metrics of the model's loading and latency."""
        return "rerank"


def tasks_of(shard: Shard) -> Iterator[RankingTask]:
    """The shard's queries with their documents, in the order of `shard.pairs`."""
    texts = shard.pairs["text"].to_pylist()
    queries = shard.queries["query"].to_pylist()
    instructions = (
        shard.queries["instruction"].to_pylist() if "instruction" in shard.queries.column_names else [None] * len(queries)
    )
    start = 0
    for query, instruction, count in zip(queries, instructions, shard.queries["n_pairs"].to_pylist(), strict=True):
        yield RankingTask(query, texts[start : start + count], instruction)
        start += count
