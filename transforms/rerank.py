"""The job as a reusable transform: read shards, score them, commit them.

    planned units | Rerank(output, specification, reading)

Between its steps travel shard descriptions and Arrow tables, never single pairs, and nothing is regrouped or
reshuffled on the way. Where scoring leaves the processor free, the next shard is read and the last one committed beside
it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import apache_beam as beam
from apache_beam.metrics.metric import Metrics
from apache_beam.ml.inference.base import RunInference
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from transforms.handler import RerankerHandler, ScoredShard
from transforms.input.plan import Unit
from transforms.input.reader import read_shards
from transforms.input.template import Template
from transforms.job.directory import check_kept
from transforms.job.progress import stop_requested
from transforms.output.commit import UNSTAMPED, Stamp, commit
from transforms.output.retry import Retry, only_rejected, replace
from transforms.read_ahead import ReadAhead
from transforms.schema import Shard
from transforms.scoring.results import Scores
from transforms.scoring.scorer import ScorerSpecification

NAMESPACE = "rerank"
AHEAD = 1  # shards that are read before their turn
_MICROSECONDS = "_microseconds"


@dataclass(frozen=True)
class Reading:
    """How input files become shards.

    Attributes:
        keep_columns: input columns that are carried to the output.
        text_template: what a model sees of a document; None for the title, a blank and the text.
        shard_pairs: pairs of a shard, at most, unless one query has more.
    """

    keep_columns: tuple[str, ...] = ()
    text_template: Template | None = None
    shard_pairs: int = 16_384


class PlannedUnit(NamedTuple):
    """A unit of the plan.

    Attributes:
        unit: what to read.
        committed: names of those of its shards that are committed already, and are left as they are.
        retried: names of committed ones of which pairs are to be scored again.
    """

    unit: Unit
    committed: frozenset[str]
    retried: frozenset[str] = frozenset()


class TimedShard(NamedTuple):
    """A shard, and the seconds that it took to read."""

    shard: Shard
    seconds: float


class ReadShards(beam.DoFn):
    """A unit's shards that are not committed yet, each alone in a list: that is a batch for RunInference."""

    def __init__(
        self,
        reading: Reading,
        progress_folder: str | None,
        output: str = "",
        retry: Retry | None = None,
        ahead: RerankerHandler | None = None,
    ) -> None:
        """Take how to read; `ahead` is what scores the shards, where they are read and begun before their turn."""
        self._reading = reading
        self._progress_folder = progress_folder
        self._output = output
        self._retry = retry
        self._ahead = ahead

    def start_bundle(self) -> None:
        self._read_ahead = ReadAhead(self._read, AHEAD if self._ahead else 0)

    def process(self, work: PlannedUnit) -> Iterator[list[Shard]]:
        yield from self._until_stopped(self._read_ahead.add(work))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from map(GlobalWindows.windowed_value, self._until_stopped(self._read_ahead.rest()))
        self._read_ahead.close()

    def _until_stopped(self, shards: Iterator[TimedShard]) -> Iterator[list[Shard]]:
        while not stop_requested(self._progress_folder):
            read = next(shards, None)
            if read is None:
                return
            count_seconds("read", read.seconds)
            yield [read.shard]

    def _read(self, work: PlannedUnit) -> Iterator[TimedShard]:
        reading = self._reading
        shards = read_shards(
            work.unit,
            keep_columns=reading.keep_columns,
            text_template=reading.text_template,
            shard_pairs=reading.shard_pairs,
            skip=work.committed,
        )
        while True:
            start = time.perf_counter()
            shard = next(shards, None)
            if shard is None:
                return
            if self._retry is not None and shard.name in work.retried:
                rejected = only_rejected(self._output, shard, self._retry.reason)
                if not rejected.pairs.num_rows:  # they were rejected for what the input has
                    continue
                shard = rejected if self._retry.alone else shard
            seconds = time.perf_counter() - start
            yield TimedShard(self._ahead.begin(shard) if self._ahead else shard, seconds)


class Committed(NamedTuple):
    """What was counted of a shard, and the seconds that writing its part files took."""

    counts: Counter[str]
    seconds: float


class CommitShard(beam.DoFn):
    """A scored shard to its part files; emits the shard's counts, if need be when the next one is there."""

    def __init__(
        self,
        output: str,
        top_k: int | None,
        stamp: Stamp,
        retry: Retry | None = None,
        retried: frozenset[str] = frozenset(),
        beside: bool = False,
    ) -> None:
        self._output = output
        self._top_k = top_k
        self._stamp = stamp
        self._retry = retry
        self._retried = retried
        self._beside = beside

    def setup(self) -> None:
        self._pool = ThreadPoolExecutor(1, "commit") if self._beside else None

    def start_bundle(self) -> None:
        self._running: Future[Committed] | None = None

    def process(self, scored: ScoredShard) -> Iterator[Counter[str]]:
        shard, scores = scored
        for stage, seconds in scores.seconds.items():
            count_seconds(stage, seconds)
        if self._pool is None:
            yield self._counted(self._commit(shard, scores))
            return
        before, self._running = self._running, self._pool.submit(self._commit, shard, scores)
        if before is not None:
            yield self._counted(before.result())

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._running is not None:
            yield GlobalWindows.windowed_value(self._counted(self._running.result()))

    def teardown(self) -> None:
        if self._pool is not None:  # what is scored is committed, whatever became of the shard after it
            self._pool.shutdown()

    def _commit(self, shard: Shard, scores: Scores) -> Committed:
        start = time.perf_counter()
        check_kept(self._output)
        if self._retry is not None and shard.name in self._retried:
            counts = replace(self._output, shard, scores, self._top_k, self._stamp, self._retry)
        else:
            counts = commit(self._output, shard, scores, self._top_k, self._stamp)
        return Committed(counts, time.perf_counter() - start)

    def _counted(self, committed: Committed) -> Counter[str]:
        # Beam's counters hear of a bundle's own thread alone.
        count_seconds("write", committed.seconds)
        count_in_beam(committed.counts)
        return committed.counts


class Rerank(beam.PTransform):  # type: ignore[type-arg]  # its parameters are not element types in Beam's own hints
    """Planned units to committed shards; emits one Counter of counts a shard."""

    def __init__(
        self,
        output: str,
        specification: ScorerSpecification,
        reading: Reading,
        *,
        order: str = "best_first",
        top_k: int | None = None,
        stamp: Stamp = UNSTAMPED,
        progress_folder: str | None = None,
        resource_hints: Mapping[str, str] | None = None,
        retry: Retry | None = None,
        retried: frozenset[str] = frozenset(),
    ) -> None:
        """Describe the work.

        Args:
            output: the job's output directory, on any filesystem that Beam reads.
            specification: the model.
            reading: how input files become shards.
            order: in which a listwise model reads the candidates, see `transforms.input.candidate_order`.
            top_k: pairs of each query to keep in the output; None for all.
            stamp: what the part files carry of the job.
            progress_folder: local folder for progress, see `transforms.job.progress`; None where workers are elsewhere.
            retry: which pairs of committed shards are scored again; None where none are.
            retried: names of those shards.
            resource_hints: of Beam, by name, for the workers that do it. All steps have them, since a runner puts steps
                with different hints on different machines: a shard would be committed when all are scored, not each.
        """
        super().__init__()
        self.with_resource_hints(**resource_hints or {})
        self._output = output
        self._specification = specification
        self._reading = reading
        self._order = order
        self._top_k = top_k
        self._stamp = stamp
        self._progress_folder = progress_folder
        self._retry = retry
        self._retried = retried

    def expand(self, work: beam.pvalue.PCollection[PlannedUnit]) -> beam.pvalue.PCollection[Counter[str]]:
        beside = self._specification.leaves_cpu_free
        handler = RerankerHandler(self._specification, self._order, self._progress_folder)
        ahead = handler if beside else None
        reading = ReadShards(self._reading, self._progress_folder, self._output, self._retry, ahead)
        committing = CommitShard(self._output, self._top_k, self._stamp, self._retry, self._retried, beside)
        committed: beam.pvalue.PCollection[Counter[str]] = (
            work
            | "ReadShards" >> beam.ParDo(reading)
            | "Score" >> RunInference(handler)
            | "CommitShard" >> beam.ParDo(committing)
        )
        return committed


def count_in_beam(counts: Mapping[str, int]) -> None:
    """Add what `output.commit.count` counted of a shard to the job's counters."""
    # These two are to be seen even while they are 0; the names are those of report.json.
    reported = {"padding_tokens": 0, "oom_splits": 0, **counts}
    reported["out_of_memory_splits"] = reported.pop("oom_splits")
    for name, count in reported.items():
        Metrics.counter(NAMESPACE, name).inc(count)


def count_seconds(stage: str, seconds: float) -> None:
    """Add to the job's time spent in a stage, summed over worker processes; Beam counts whole numbers only."""
    Metrics.counter(NAMESPACE, f"{stage}{_MICROSECONDS}").inc(int(seconds * 1e6))


def stage_seconds(metrics: Mapping[str, int]) -> dict[str, float]:
    """What `count_seconds` counted, from a run's counters by name: seconds by stage."""
    return {
        name.removesuffix(_MICROSECONDS): value / 1e6 for name, value in metrics.items() if name.endswith(_MICROSECONDS)
    }
