from __future__ import annotations

from itertools import chain

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transforms.scoring.packed.ragged import Growing, Ragged, end_to_end, ragged, ranges

ROWS = st.lists(st.lists(st.integers(0, 99), max_size=4), max_size=6)


def lists(rows: Ragged) -> list[list[int]]:
    return [rows[row].tolist() for row in range(len(rows))]


@given(ROWS)
def test_rows_are_those_of_the_lists(rows: list[list[int]]) -> None:
    made = ragged(rows)
    assert lists(made) == rows
    assert made.sizes.tolist() == [len(row) for row in rows]
    assert made.flat().tolist() == list(chain.from_iterable(rows))
    assert made.data.dtype == np.int32


@given(ROWS, st.data())
def test_rows_are_taken_in_any_order_and_more_than_once(rows: list[list[int]], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1))) if rows else []
    taken = ragged(rows).take(np.array(chosen, dtype=np.int64))
    assert lists(taken) == [rows[row] for row in chosen]
    assert taken.flat().tolist() == [one for row in chosen for one in rows[row]]
    assert lists(taken.compact()) == lists(taken)
    assert len(taken.compact().data) == sum(len(rows[row]) for row in chosen)


@given(ROWS, st.data())
def test_rows_are_cut_each_to_its_own_stretch(rows: list[list[int]], data: st.DataObject) -> None:
    first = [data.draw(st.integers(0, len(row))) for row in rows]
    lengths = [data.draw(st.integers(0, len(row) - start)) for row, start in zip(rows, first, strict=True)]
    cut = ragged(rows).cut(np.array(first, dtype=np.int64), np.array(lengths, dtype=np.int64))
    assert lists(cut) == [row[a : a + n] for row, a, n in zip(rows, first, lengths, strict=True)]


@given(ROWS, ROWS, st.data())
def test_rows_are_taken_without_their_first_ids(
    rows: list[list[int]], more: list[list[int]], data: st.DataObject
) -> None:
    rows, more = (each[: min(len(rows), len(more))] for each in (rows, more))
    whole = Growing().join(ragged(rows), ragged(more))
    first = [data.draw(st.integers(0, size)) for size in whole.sizes.tolist()]
    expected = [[*row, *last][without:] for row, last, without in zip(rows, more, first, strict=True)]
    assert lists(whole.without(np.array(first, dtype=np.int64))) == expected


def test_one_row_is_cut_to_several_lengths() -> None:
    assert lists(ragged([[5, 6, 7]]).cut(0, np.array([2, 0, 3]))) == [[5, 6], [], [5, 6, 7]]


@given(ROWS, st.lists(st.integers(0, 99), max_size=3), st.booleans())
def test_columns_are_joined_and_one_row_stands_in_all(rows: list[list[int]], word: list[int], backwards: bool) -> None:
    column = ragged(rows)
    other = column.take(slice(None, None, -1)) if backwards else ragged(rows[::-1])
    whole = Growing().join(ragged([word]), column, other)
    assert lists(whole) == [[*word, *row, *last] for row, last in zip(rows, rows[::-1], strict=True)]
    assert whole.flat().tolist() == list(chain.from_iterable(lists(whole)))
    assert whole.sizes.tolist() == [len(row) for row in lists(whole)]


def test_of_data_that_is_hardly_used_the_rest_is_not_copied() -> None:
    texts = ragged([range(1000), range(1000)])
    short = Growing().join(ragged([[1]]), texts.cut(10, np.array([2, 3])))
    assert lists(short) == [[1, 10, 11], [1, 10, 11, 12]]
    assert short.data[:6].tolist() == [1, 10, 11, 10, 11, 12]
    assert len(short.data) == 9, "room for half as many more"


@given(st.lists(ROWS, max_size=4), st.data())
def test_rows_that_were_taken_stay_when_more_are_added(parts: list[list[list[int]]], data: st.DataObject) -> None:
    growing, rows, taken = Growing(), list[list[int]](), list[tuple[Ragged, list[list[int]]]]()
    for part in parts:
        growing.add(ragged(part))
        rows += part
        numbers = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=5)) if rows else []
        chosen = growing.take(np.array(numbers, dtype=np.int64))
        expected = [rows[number] for number in numbers]
        taken += [
            (chosen, expected),
            (growing.join(chosen, ragged([[7, 8]]), chosen), [[*r, 7, 8, *r] for r in expected]),
        ]
    assert growing.count == len(rows)
    assert [lists(then) for then, _ in taken] == [expected for _, expected in taken]


def test_rows_taken_from_the_same_data_are_joined_without_a_copy_of_them() -> None:
    growing = Growing()
    growing.add(ragged([range(1000)]))
    text = growing.take(np.array([0, 0]))
    whole = growing.join(ragged([[1, 2]]), text, ragged([[3]]))
    assert lists(whole) == [[1, 2, *range(1000), 3]] * 2
    assert whole.data is text.data


def test_rows_lie_end_to_end() -> None:
    assert lists(end_to_end(np.array([4, 5, 6], dtype=np.int32), np.array([1, 0, 2]))) == [[4], [], [5, 6]]


def test_ranges_are_whole_numbers_from_each_start() -> None:
    assert ranges(np.array([7, 3, 0]), np.array([2, 0, 3])).tolist() == [7, 8, 0, 1, 2]
