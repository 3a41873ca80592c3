"""Where scoring leaves the processor free, the next shard is read and the last one committed while one is scored."""

from __future__ import annotations

import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from pipelines.rerank.job import build
from pipelines.running.runner import Runner, run_graph
from tests.support.constant_scorer import Constant, ConstantSpecification
from tests.support.job_run import parts, write_letters
from transforms import rerank
from transforms.base.errors import UserError
from transforms.handler import RerankerHandler
from transforms.input.inputs import inspect
from transforms.input.plan import plan
from transforms.input.reader import read_shards
from transforms.job.progress import request_stop
from transforms.output.commit import commit
from transforms.rerank import NAMESPACE, PlannedUnit, Reading, Rerank
from transforms.schema import Shard
from transforms.scoring.results import RankingTask, Scores
from transforms.scoring.scorer import Progress, no_progress

SHARDS = 8
PATIENCE = 60.0


def nothing(number: int) -> None:
    """Do nothing."""


class Happened:
    """What has happened to how many shards."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._changed = threading.Condition()
        self.most_at_once = 0

    def add(self, kind: str) -> int:
        """Count one more; returns how many there were before."""
        with self._changed:
            self._counts[kind] += 1
            self.most_at_once = max(self.most_at_once, self._counts["read"] - self._counts["committed"])
            self._changed.notify_all()
            return self._counts[kind] - 1

    def wait_for(self, kind: str, number: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._counts[kind] >= number, PATIENCE), f"never {number} {kind}"


# Of the test that runs: Beam pickles the steps of a job, and these with them.
happened = Happened()
while_scored: Callable[[int], None] = nothing


class Slow(Constant):
    """As slow as the test says."""

    def score_tasks(self, tasks: Sequence[RankingTask], progress: Callable[[float, int], None] = no_progress) -> Scores:
        while_scored(happened.add("scored"))
        return super().score_tasks(tasks, progress)


@dataclass(frozen=True)
class SlowSpecification(ConstantSpecification):
    def load(self) -> Slow:
        return Slow()


@dataclass
class LetterJob:
    """A job of SHARDS shards, two a row group, whose steps do what the test says with the number of the shard."""

    folder: Path
    scoring: Callable[[int], None] = nothing
    reading: Callable[[int], None] = nothing
    committing: Callable[[int], None] = nothing

    def run(self, leaves_cpu_free: bool = True, progress_folder: str | None = None) -> None:
        source = write_letters(self.folder / "in.parquet", SHARDS, 2, row_group_size=2)
        work = [PlannedUnit(unit, frozenset()) for unit in plan(inspect([str(source)])).units]
        assert len(work) == SHARDS // 2
        specification, reading = SlowSpecification(leaves_cpu_free=leaves_cpu_free), Reading(shard_pairs=2)
        (self.folder / "out" / "scored").mkdir(parents=True, exist_ok=True)  # as a job does when it begins
        steps = Rerank(str(self.folder / "out"), specification, reading, progress_folder=progress_folder)
        runner = Runner(FnApiRunner(), PipelineOptions([]), local=True)
        run_graph(lambda pipeline: build(pipeline, work, steps), runner, NAMESPACE)

    def done(self) -> list[int]:
        """The numbers of the shards that are committed."""
        names = [f"scored/part-00000-{shard // 2:05d}-{shard % 2:05d}.parquet" for shard in range(SHARDS)]
        return [names.index(name) for name in parts(self.folder / "out")]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LetterJob:
    job = LetterJob(tmp_path)

    def read(*args: Any, **options: Any) -> Iterator[Shard]:
        for shard in read_shards(*args, **options):
            job.reading(happened.add("read"))
            yield shard

    def commit_shard(*args: Any) -> Counter[str]:
        job.committing(happened.add("committing"))
        counts = commit(*args)
        happened.add("committed")
        return counts

    monkeypatch.setattr(__name__ + ".happened", Happened())
    monkeypatch.setattr(__name__ + ".while_scored", lambda number: job.scoring(number))
    monkeypatch.setattr(rerank, "read_shards", read)
    monkeypatch.setattr(rerank, "commit", commit_shard)
    return job


def fail_at(shard: int) -> Callable[[int], None]:
    def fail(number: int) -> None:
        if number == shard:
            raise UserError(f"{shard} is broken; fix it")

    return fail


def test_a_shard_is_scored_while_the_next_is_read_and_the_last_is_committed(job: LetterJob) -> None:
    def scoring(number: int) -> None:
        happened.wait_for("read", min(number + 2, SHARDS))  # over the ends of row groups too
        happened.wait_for("committing", number)

    job.scoring = scoring
    job.committing = lambda number: happened.wait_for("scored", min(number + 2, SHARDS))
    job.run()
    assert job.done() == [*range(SHARDS)]
    assert happened.most_at_once <= 3, "one is read, one is scored, one is committed"


def test_on_a_cpu_that_computes_one_shard_is_there_at_a_time(job: LetterJob) -> None:
    threads = set()
    job.reading = job.scoring = job.committing = lambda number: threads.add(threading.current_thread())
    job.run(leaves_cpu_free=False)
    assert job.done() == [*range(SHARDS)]
    assert happened.most_at_once == 1
    assert len(threads) == 1


def test_the_time_is_that_of_the_longest_step_and_not_the_sum(job: LetterJob) -> None:
    def timed(leaves_cpu_free: bool) -> float:
        start = time.monotonic()
        job.run(leaves_cpu_free)
        return time.monotonic() - start

    job.reading = job.scoring = job.committing = lambda number: time.sleep(0.2)
    in_turn, beside = timed(False), timed(True)
    assert in_turn > SHARDS * 0.6
    assert beside < 0.7 * in_turn


def test_a_shard_that_cannot_be_read_costs_none_before_it(job: LetterJob) -> None:
    job.reading = fail_at(4)
    job.scoring = lambda number: happened.wait_for("read", min(number + 2, 5))
    with pytest.raises(UserError, match=r"^4 is broken; fix it$"):
        job.run()
    assert job.done() == [0, 1, 2, 3]


def test_a_shard_that_cannot_be_scored_costs_none_before_it(job: LetterJob) -> None:
    def scoring(number: int) -> None:
        happened.wait_for("committing", number)
        fail_at(4)(number)

    job.scoring = scoring
    job.committing = lambda number: time.sleep(0.1)  # it goes on when the job has failed
    with pytest.raises(UserError, match=r"^4 is broken; fix it$"):
        job.run()
    assert job.done() == [0, 1, 2, 3]


def test_a_shard_that_cannot_be_committed_ends_the_job(job: LetterJob) -> None:
    job.committing = fail_at(4)
    with pytest.raises(UserError, match=r"^4 is broken; fix it$"):
        job.run()
    assert job.done() in ([0, 1, 2, 3], [0, 1, 2, 3, 5]), "the next one was being scored"


def test_who_stops_a_job_waits_for_the_shard_that_is_scored_alone(job: LetterJob, tmp_path: Path) -> None:
    def scoring(number: int) -> None:
        if number == 3:
            happened.wait_for("read", 5)
            request_stop(str(tmp_path))

    job.scoring = scoring
    job.run(progress_folder=str(tmp_path))
    assert job.done() == [0, 1, 2, 3]


def test_the_next_shard_is_tokenised_while_one_is_scored(job: LetterJob, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(self: Constant, tasks: Sequence[RankingTask]) -> Callable[[Progress], Scores]:
        happened.add("begun")
        return partial(self.score_tasks, tasks)

    monkeypatch.setattr(Constant, "begin", begin)
    job.scoring = lambda number: happened.wait_for("begun", min(number + 2, SHARDS))
    job.run()
    assert job.done() == [*range(SHARDS)]


def test_what_was_begun_stays_in_its_process(tmp_path: Path) -> None:
    unit = plan(inspect([str(write_letters(tmp_path / "in.parquet", 2, 2))])).units[0]
    (shard,) = read_shards(unit)
    handler = RerankerHandler(ConstantSpecification(leaves_cpu_free=True))
    assert handler.begin(shard) is shard, "no model is loaded"
    scorer = handler.load_model()
    prepared = pickle.loads(pickle.dumps(handler)).begin(shard)
    assert prepared.begun is not None
    assert pickle.loads(pickle.dumps(prepared)) == shard
    assert pickle.loads(pickle.dumps(prepared)).begun is None
    ((scored, scores),) = handler.run_inference([prepared], scorer)
    assert scored.begun is None, "nothing is held on to"
    assert scores.score.tolist() == [0.5] * 4
