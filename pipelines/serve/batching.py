"""Requests that wait at the same time are scored together, so that their pairs fill forward passes.

One thread scores; while it does, what comes in waits, and is the next batch. So batches grow with the load, and a
request that comes alone is not held up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from transforms.scoring.results import RankingTask, Scores, split

Score = Callable[[Sequence[RankingTask]], Scores]


class Waiting(NamedTuple):
    """A task that is to be scored."""

    task: RankingTask
    characters: int
    scores: asyncio.Future[Scores]


class Batches:
    """Scores tasks as they come; of one event loop.

    Attributes:
        characters_a_second: of the last batch; 0 before the first.
    """

    def __init__(self, score: Score, most: int) -> None:
        """Nothing is scored until `run` runs.

        Args:
            score: the core; it is called from one thread, once at a time.
            most: characters of a batch, beyond which it takes no further task.
        """
        self.characters_a_second = 0.0
        self._score, self._most = score, most
        self._waiting: deque[Waiting] = deque()
        self._come = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "score")

    async def score(self, task: RankingTask) -> Scores:
        """The task's scores; whatever the core raises for it."""
        scores: asyncio.Future[Scores] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(task, sum(map(len, task.documents)), scores))
        self._come.set()
        return await scores

    def seconds_to_wait(self) -> float:
        """Until all that waits now is done, as fast as the last batch; 1 where that is unknown."""
        waiting = sum(waiting.characters for waiting in self._waiting)
        return waiting / self.characters_a_second if self.characters_a_second else 1.0

    async def run(self) -> None:
        """Score for as long as this is not cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._come.wait()
            batch = self._next()
            begin = loop.time()
            answers = await loop.run_in_executor(self._thread, self._scored, [waiting.task for waiting in batch])
            self.characters_a_second = sum(waiting.characters for waiting in batch) / max(loop.time() - begin, 1e-9)
            for waiting, scores in zip(batch, answers, strict=True):
                if waiting.scores.cancelled():  # nobody waits for it any more
                    continue
                if isinstance(scores, Exception):
                    waiting.scores.set_exception(scores)
                else:
                    waiting.scores.set_result(scores)

    def _next(self) -> list[Waiting]:
        batch: list[Waiting] = []
        while self._waiting and sum(waiting.characters for waiting in batch) < self._most:
            batch.append(self._waiting.popleft())
        if not self._waiting:
            self._come.clear()
        return batch

    def _scored(self, tasks: list[RankingTask]) -> list[Scores | Exception]:
        """Scores of each task; where scoring them together fails, each by itself, so that a fault is one task's own."""
        try:
            return [*split(self._score(tasks), [len(task.documents) for task in tasks])]
        except Exception as error:
            return [error] if len(tasks) == 1 else [answer for task in tasks for answer in self._scored([task])]
