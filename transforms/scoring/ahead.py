"""Work for the CPU's second thread, done while the model computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Chunk = TypeVar("Chunk")
Made = TypeVar("Made")


def one_ahead(work: Callable[[Chunk], Made], chunks: Iterable[Chunk]) -> Iterator[Made]:
    """What `work` makes of each chunk, in their order.

    A thread makes the first one from now on, and the next one while the caller uses the last.
    """
    pool, rest = ThreadPoolExecutor(1, "tokenise"), iter(chunks)
    futures = deque(pool.submit(work, chunk) for chunk in islice(rest, 1))
    return _made(pool, work, futures, rest)


def _made(
    pool: ThreadPoolExecutor, work: Callable[[Chunk], Made], futures: deque[Future[Made]], rest: Iterator[Chunk]
) -> Iterator[Made]:
    with pool:
        for chunk in rest:
            futures.append(pool.submit(work, chunk))
            yield futures.popleft().result()
        yield from (future.result() for future in futures)
