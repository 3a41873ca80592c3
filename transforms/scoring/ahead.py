"""Work for the CPU's second thread, done while the model computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Chunk = TypeVar("Chunk")
Made = TypeVar("Made")


def one_ahead(work: Callable[[Chunk], Made], chunks: Iterable[Chunk]) -> Iterator[Made]:
    """What `work` makes of each chunk, in their order; a thread makes the next one while the caller uses the last."""
    with ThreadPoolExecutor(1, "tokenise") as pool:
        waiting: deque[Future[Made]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(work, chunk))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        yield from (future.result() for future in waiting)
