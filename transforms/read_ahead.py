"""Reading that goes on in a thread while what was read before is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, NamedTuple, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


class Found(NamedTuple, Generic[Made]):
    """What one look for the next thing gave."""

    made: list[Made]  # one, or none where there are no items left
    ended: int  # items of which there was nothing more


class ReadAhead(Generic[Item, Made]):
    """Makes things of items, in their order, so many of them before they are asked for; items may come later on.

    An error is raised where the thing would have come that it kept from being made.
    """

    def __init__(self, make: Callable[[Item], Iterator[Made]], depth: int) -> None:
        """Begin without items.

        Args:
            make: all things that are made of an item, one after the other.
            depth: things that a thread makes before they are asked for; with 0 there is no thread.
        """
        self._make = make
        self._depth = depth
        self._items: deque[Item] = deque()
        self._unfinished = 0  # items of which not everything was handed out
        self._turn: Iterator[Made] | None = None
        self._found: deque[Future[Found[Made]]] = deque()
        self._pool = ThreadPoolExecutor(1, "read") if depth else None

    def add(self, item: Item) -> Iterator[Made]:
        """Take an item, and hand out things as long as there are items enough behind them to go on with."""
        self._items.append(item)
        self._unfinished += 1
        self._fill()
        # The end of an item shows when the first thing of the next one is there.
        return self._until(self._depth + 1 if self._depth else 0)

    def rest(self) -> Iterator[Made]:
        """Hand out what is left."""
        return self._until(0)

    def close(self) -> None:
        """Begin nothing further, and wait for what is in the making."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _until(self, unfinished: int) -> Iterator[Made]:
        while self._unfinished > unfinished:
            item = self._found.popleft().result() if self._pool is not None else self._next()
            self._unfinished -= item.ended
            self._fill()
            yield from item.made

    def _fill(self) -> None:
        while self._pool is not None and len(self._found) < self._depth:
            self._found.append(self._pool.submit(self._next))

    def _next(self) -> Found[Made]:
        ended = 0
        while self._turn is not None or self._items:
            if self._turn is None:
                self._turn = self._make(self._items.popleft())
            for made in self._turn:
                return Found([made], ended)
            self._turn = None
            ended += 1
        return Found([], ended)
