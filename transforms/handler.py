"""Beam's RunInference with a reranker as the model: shards in, shards with their scores out."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
from apache_beam.metrics.metric import Metrics
from apache_beam.ml.inference.base import ModelHandler
from numpy.typing import NDArray

from transforms.input.candidate_order import candidate_order
from transforms.job.progress import progress_writer
from transforms.schema import Shard
from transforms.scoring.results import RankingTask, Scores, take
from transforms.scoring.scorer import Progress, Scorer, ScorerSpecification

ScoredShard = tuple[Shard, Scores]
_loaded: WeakValueDictionary[str, Scorer] = WeakValueDictionary()  # in this process, by the handler's key
_MADE_BY = {"tokenising": "shards tokenised by ", "layers": "shards with layers of "}  # how counters' names begin


class Begun(NamedTuple):
    """The scoring of a shard that was begun before its turn.

    Attributes:
        rows: as `tasks_of` gives them.
        score: gives the scores of its tasks.
    """

    rows: NDArray[np.int64]
    score: Callable[[Progress], Scores]


class RerankerHandler(ModelHandler[Shard, ScoredShard, Scorer]):
    """Loads one reranker in each worker process and scores whole shards with it.

    An element of RunInference is already a batch, `[shard]`: Beam need not, and could not well, batch pairs by length.
    """

    def __init__(
        self,
        specification: ScorerSpecification,
        order: str = "best_first",
        progress_folder: str | None = None,
    ) -> None:
        """Take what is to be loaded.

        Args:
            specification: the model.
            order: in which a listwise model reads the candidates, see `transforms.input.candidate_order`.
            progress_folder: where to account for progress, see `transforms.job.progress`.
        """
        super().__init__()
        self._key = uuid.uuid4().hex
        self._specification = specification
        self._order = order
        self._progress_folder = progress_folder

    def load_model(self) -> Scorer:
        """The loaded model, or the endpoint to ask."""
        scorer = _loaded[self._key] = self._specification.load()
        scorer.expect_much()
        return scorer

    def begin(self, shard: Shard) -> Shard:
        """The shard before its turn, with its scoring begun where this process has the model."""
        scorer = _loaded.get(self._key)
        return shard if scorer is None else replace(shard, begun=self._begun(shard, scorer))

    def run_inference(
        self, batch: Sequence[Shard], model: Scorer, inference_args: dict[str, Any] | None = None
    ) -> list[ScoredShard]:
        """Each shard with the scores of its pairs, in the order of `shard.pairs`."""
        return [(replace(shard, begun=None), self._score(shard, model)) for shard in batch]

    def _score(self, shard: Shard, model: Scorer) -> Scores:
        rows, score = shard.begun or self._begun(shard, model)
        scores = score(progress_writer(self._progress_folder).add)
        for what, by in model.made_by.items():
            Metrics.counter(self.get_metrics_namespace(), f"{_MADE_BY[what]}{by}").inc()
        return take(scores, np.argsort(rows))

    def _begun(self, shard: Shard, model: Scorer) -> Begun:
        tasks, rows = tasks_of(shard, self._order)
        return Begun(rows, model.begin(tasks))

    def should_skip_batching(self) -> bool:
        """Always: what comes is a batch."""
        return True

    def get_num_bytes(self, batch: Sequence[Shard]) -> int:
        """Bytes of the pairs; Beam's own way pickles the whole batch for this figure."""
        return int(np.sum([shard.pairs.nbytes for shard in batch]))

    def get_metrics_namespace(self) -> str:
        """The namespace of Beam's own metrics of the model's loading and latency."""
        return "rerank"


def made_by(metrics: Mapping[str, int]) -> dict[str, list[str]]:
    """By what the scores of a run's shards were made, see `Scorer.made_by`, from its counters by name."""
    return {
        what: [name.removeprefix(begin) for name in metrics if name.startswith(begin)]
        for what, begin in _MADE_BY.items()
    }


def tasks_of(shard: Shard, order: str = "best_first") -> tuple[list[RankingTask], NDArray[np.int64]]:
    """The shard's queries with their documents in a candidate order; see `candidate_order`.

    Returns:
        The tasks; and for each of their documents in turn the row of `shard.pairs` that it is from, shape [pairs].
    """
    texts = shard.pairs["text"].to_pylist()
    tasks: list[RankingTask] = []
    rows = np.arange(len(texts))
    start = 0
    for query in shard.queries.select(["query_id", "query", "instruction", "n_pairs"]).to_pylist():
        end = start + query["n_pairs"]
        if order != "best_first":
            listed = shard.pairs.slice(start, end - start)
            rows[start:end] = start + candidate_order(
                order, query["query_id"], listed["doc_id"].to_pylist(), listed["given_position"].to_numpy()
            )
        tasks.append(RankingTask(query["query"], [texts[row] for row in rows[start:end]], query["instruction"]))
        start = end
    return tasks, rows
