from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import chain

import pytest

from transforms.read_ahead import ReadAhead


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
def test_things_come_in_the_order_of_their_items(depth: int) -> None:
    items = ["ab", "", "c", "", "", "defg", "h", ""]
    reading = ReadAhead[str, str](iter, depth)
    handed = [made for item in items for made in reading.add(item)]
    assert handed == list("abcdefgh"[: len(handed)])
    assert handed + list(reading.rest()) == list("abcdefgh")
    assert not list(reading.rest())
    reading.close()


def test_without_a_thread_all_of_an_item_comes_at_once() -> None:
    threads = set()

    def make(item: str) -> Iterator[str]:
        threads.add(threading.current_thread())
        yield from item

    reading = ReadAhead(make, 0)
    assert list(reading.add("ab")) == ["a", "b"]
    assert list(reading.add("")) == []
    assert list(reading.rest()) == []
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("per_item", [1, 4])
def test_so_many_things_are_made_before_they_are_asked_for_and_no_more(depth: int, per_item: int) -> None:
    beginnings = threading.Semaphore(0)
    number, out = 0, 0

    def make(item: int) -> Iterator[int]:
        nonlocal number
        for _ in range(per_item):
            number += 1
            beginnings.release()
            yield number

    def use(things: Iterator[int]) -> None:
        nonlocal out
        for thing in things:
            out += 1
            assert thing == out
            if out == 1:
                for _ in range(depth + 1):  # the one in use and those ahead of it
                    assert beginnings.acquire(timeout=60)
            elif out + depth <= total:
                assert beginnings.acquire(timeout=60), "the next thing is made while this one is used"
            assert number - out <= depth

    total = 20 * per_item
    reading = ReadAhead(make, depth)
    for item in range(20):
        use(reading.add(item))
    use(reading.rest())
    reading.close()
    assert out == total


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_an_error_comes_after_all_that_was_made_before_it(depth: int) -> None:
    def make(item: str) -> Iterator[str]:
        for letter in item:
            if letter == "c":
                raise OSError("the disk is gone")
            yield letter

    reading = ReadAhead(make, depth)
    things = chain.from_iterable(chain((reading.add(item) for item in ("a", "bc", "d")), [reading.rest()]))
    handed: list[str] = []
    with pytest.raises(OSError, match=r"^the disk is gone$"):
        handed.extend(things)
    assert handed == ["a", "b"]
    reading.close()
