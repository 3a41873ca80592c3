"""Reranking as a step of any pipeline, between any source and any sink, in batch and in streaming.

    found = requests | RerankLists("small-cross-encoder", top_k=10)
    found.ranked, found.rejected

The requests of a bundle are scored together, so that their pairs fill forward passes; a bundle's size is the runner's
choice. Nothing is regrouped, so that every list keeps its request's window and time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from inspect import signature
from os import PathLike
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.handler import RerankerHandler, ScoredShard
from transforms.input.candidate_order import check_order
from transforms.lists import (
    BATCH_CHARACTERS,
    MALFORMED,
    Candidate,
    ListShard,
    RankedList,
    RankingRequest,
    Rejected,
    characters,
    instructions_rejected,
    is_id,
    outcomes,
    problem,
    shard_of,
)
from transforms.output.commit import count, results
from transforms.rerank import count_in_beam
from transforms.schema import Shard
from transforms.scoring.reranker import specify
from transforms.scoring.scorer import NO_INSTRUCTION, Scorer

__all__ = ["Candidate", "RankedList", "RankingRequest", "Rejected", "RerankLists", "Reranked"]

RANKED, REJECTED = "ranked", "rejected"


class Gather(beam.DoFn):
    """Requests of a bundle as shards, each alone in a list, which is a batch for RunInference; what is malformed apart.

    A shard has requests of one window, and the time of the first of them: none of its lists comes before it.
    """

    def __init__(self) -> None:
        self.start_bundle()

    def start_bundle(self) -> None:
        self._held: dict[Any, list[tuple[RankingRequest, int]]] = defaultdict(list)
        self._characters = 0

    def process(
        self, request: RankingRequest, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        if wrong := problem(request):
            query_id = getattr(request, "query_id", None)
            yield TaggedOutput(REJECTED, Rejected(str(query_id) if is_id(query_id) else None, None, MALFORMED, wrong))
            return
        self._held[window].append((request, time.micros))
        self._characters += characters(request)
        if self._characters >= BATCH_CHARACTERS:
            yield from self.finish_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for window, held in self._held.items():
            requests, times = zip(*held, strict=True)
            yield WindowedValue([shard_of(requests, times)], Timestamp(micros=min(times)), (window,))
        self.start_bundle()


class ListsHandler(RerankerHandler):
    """Scores shards of requests; an instruction that the model does not take is its request's fault alone."""

    def run_inference(
        self, batch: Sequence[Shard], model: Scorer, inference_args: dict[str, Any] | None = None
    ) -> list[ScoredShard]:
        """As `RerankerHandler`, of shards without the requests that the model cannot read."""
        if not model.takes_instruction:
            batch = [instructions_rejected(shard, NO_INSTRUCTION) for shard in batch if isinstance(shard, ListShard)]
        return super().run_inference(batch, model, inference_args)


class Split(beam.DoFn):
    """A scored shard's lists, and what of them is rejected, at the times of their requests."""

    def __init__(self, top_k: int | None) -> None:
        self._top_k = top_k

    def process(self, scored: ScoredShard, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        shard, scores = scored
        assert isinstance(shard, ListShard)
        tables = results(shard, scores, self._top_k)
        for origin, outcome in zip(shard.origins, outcomes(shard, *tables), strict=True):
            placed = partial(WindowedValue, timestamp=Timestamp(micros=origin.time), windows=(window,))
            if outcome.ranked is not None:
                yield placed(outcome.ranked)
            yield from (TaggedOutput(REJECTED, placed(rejected)) for rejected in outcome.rejected)
        count_in_beam(count(shard, scores, tables[1]))


class Reranked(NamedTuple):
    """The collections that `RerankLists` makes.

    Attributes:
        ranked: a `RankedList` for each request that can be read at all, also where none of its candidates can.
        rejected: a `Rejected` for each request or candidate that has no score.
    """

    ranked: beam.pvalue.PCollection[RankedList]
    rejected: beam.pvalue.PCollection[Rejected]


class RerankLists(beam.PTransform):  # type: ignore[type-arg]  # its parameters are not element types in Beam's own hints
    """`RankingRequest` elements to `Reranked` ones; each process of a worker has one model.

    Beam's counters are those of the job, see docs/runners.md.

    Example:
        >>> import apache_beam as beam
        >>> from transforms.rerank_lists import Candidate, RankingRequest, RerankLists
        >>> candidates = [Candidate("d1", "Bananas."), Candidate("d2", "Paris is the capital.")]
        >>> request = RankingRequest("q1", "capital of France", candidates)
        >>> with beam.Pipeline("FnApiRunner") as pipeline:
        ...     found = pipeline | beam.Create([request]) | RerankLists("small-cross-encoder", top_k=1)
        ...     _ = found.ranked | beam.Map(lambda ranked: print(ranked.query_id, ranked.documents[0].doc_id))
        q1 d2
    """

    def __init__(
        self,
        model: str | PathLike[str],
        *,
        top_k: int | None = None,
        candidate_order: str = "best_first",
        **options: Any,
    ) -> None:
        """Find the model, without loading it.

        Args:
            model: as of `reranker.specify`.
            top_k: documents of each list to give back; None for all.
            candidate_order: in which a listwise model reads a list, see `transforms.input.candidate_order`.
            options: of `reranker.specify` (device, dtype, ...; remote=True where workers are other machines), and
                of the model (max_length, ...).

        Raises:
            UserError: the model is unavailable, or an option does not apply or does not fit.
        """
        super().__init__()
        of_running = {name: options.pop(name) for name in signature(specify).parameters if name in options}
        self._specification = specify(model, **({"options": options} | of_running))
        self._top_k = top_k
        self._order = check_order(candidate_order)

    def expand(self, requests: beam.pvalue.PCollection[RankingRequest]) -> Reranked:
        gathered = requests | "Gather" >> beam.ParDo(Gather()).with_outputs(REJECTED, main="shards")
        split = (
            gathered.shards
            | "Score" >> RunInference(ListsHandler(self._specification, self._order))
            | "Split" >> beam.ParDo(Split(self._top_k)).with_outputs(REJECTED, main=RANKED)
        )
        rejected = (gathered[REJECTED], split[REJECTED]) | "Rejected" >> beam.Flatten()
        return Reranked(split[RANKED], rejected)
