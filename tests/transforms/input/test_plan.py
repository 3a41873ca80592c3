from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.input_files import candidate, damage, flat_table, nested_table, pair, query, read, rejected, write
from transforms.input import parquet, repeats
from transforms.input.inputs import inspect
from transforms.input.plan import Plan, Unit, load_plan, plan, save_plan


@pytest.fixture(autouse=True, params=[100_000, 2])
def ids_in_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many ids are kept before DuckDB takes them: all of them, and hardly any."""
    monkeypatch.setattr(repeats, "_INSERT_IDS", request.param)


def plan_of(*paths: str, start_index: int = 0) -> Plan:
    return plan(inspect(paths, start_index=start_index))


def nested(path: Path, *query_ids: object, row_group_size: int = 100) -> str:
    table = nested_table([query(query_id, [candidate("d")]) for query_id in query_ids])
    return write(path, table, row_group_size=row_group_size)


def flat(path: Path, *query_ids: object, row_group_size: int = 100) -> str:
    table = flat_table([pair(query_id, "d") for query_id in query_ids])
    return write(path, table, row_group_size=row_group_size)


def rows(made: Plan) -> list[tuple[int, int, int, int]]:
    return [(unit.file.index, unit.row_group, unit.start, unit.stop) for unit in made.units]


# Nested


def test_a_unit_is_a_row_group(tmp_path: Path) -> None:
    paths = [nested(tmp_path / "a.parquet", *"abcde", row_group_size=2), nested(tmp_path / "b.parquet", "f")]
    made = plan_of(*paths, start_index=3)
    assert made.units == (
        Unit(made.units[0].file, 0, 0, 0, 2),
        Unit(made.units[0].file, 1, 2, 2, 4),
        Unit(made.units[0].file, 2, 4, 4, 5),
        Unit(made.units[3].file, 0, 0, 0, 1),
    )
    assert [(unit.file.index, unit.file.path) for unit in made.units] == [(3, paths[0])] * 3 + [(4, paths[1])]


def test_repeated_query_ids_over_files_and_row_groups(tmp_path: Path) -> None:
    first = nested(tmp_path / "a.parquet", *"abcab", row_group_size=2)
    second = nested(tmp_path / "b.parquet", *"dadeb", row_group_size=3)
    made = plan_of(first, second)
    assert [unit.duplicates for unit in made.units] == [(), (3,), (4,), (1, 2), (4,)]
    assert made.contiguous
    assert rejected(read(first, second), "query_id", "n_candidates", "source_row", "source_file") == [
        ("duplicate_query_id", "a", 1, 3, first),
        ("duplicate_query_id", "b", 1, 4, first),
        ("duplicate_query_id", "a", 1, 1, second),
        ("duplicate_query_id", "d", 1, 2, second),
        ("duplicate_query_id", "b", 1, 4, second),
    ]


def test_the_order_of_files_decides_which_is_first(tmp_path: Path) -> None:
    first, second = nested(tmp_path / "a.parquet", "q"), nested(tmp_path / "b.parquet", "q")
    assert rejected(read(second, first), "source_file") == [("duplicate_query_id", first)]


def test_ids_that_name_nothing_are_no_duplicates(tmp_path: Path) -> None:
    path = nested(tmp_path / "a.parquet", None, None, " ", " ", "", "", b"\xff", b"\xff", "a")
    assert plan_of(path).units[0].duplicates == ()


def test_ids_are_compared_exactly(tmp_path: Path) -> None:
    path = nested(tmp_path / "a.parquet", "a", "A", "a ", "a\0", "é", "e\u0301", "1", "01")
    assert plan_of(path).units[0].duplicates == ()


def test_integers_and_their_decimal_strings_are_one(tmp_path: Path) -> None:
    first = nested(tmp_path / "a.parquet", "7", "8")
    numbers = nested_table([query(number, [candidate("d")]) for number in (9, 7)], query_id=pa.int64())
    second = write(tmp_path / "b.parquet", numbers)
    assert plan_of(first, second).units[1].duplicates == (1,)


def test_many_ids(tmp_path: Path) -> None:
    ids = [str(i % 900) for i in range(1000)]
    made = plan_of(nested(tmp_path / "a.parquet", *ids, row_group_size=300))
    assert [unit.duplicates for unit in made.units] == [(), (), (), tuple(range(900, 1000))]


def test_a_damaged_row_group_is_a_unit_and_its_ids_are_forgotten(tmp_path: Path) -> None:
    path = nested(tmp_path / "a.parquet", *"abcdca", row_group_size=2)
    damage(path, 1, "query_id")
    made = plan_of(path)
    assert rows(made) == [(0, 0, 0, 2), (0, 1, 2, 4), (0, 2, 4, 6)]
    assert [unit.damage is None for unit in made.units] == [True, False, True]
    assert [unit.duplicates for unit in made.units] == [(), (), (5,)]


def test_ids_before_the_damage_are_forgotten_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_BATCH_VALUES", 1)
    table = nested_table([query(query_id, [candidate("d")]) for query_id in ("before", "broken", "before")])
    path = tmp_path / "a.parquet"
    one_a_page = {"use_dictionary": False, "data_page_size": 1, "write_batch_size": 1, "write_page_checksum": True}
    write(path, table, row_group_size=2, compression="none", **one_a_page)
    path.write_bytes(path.read_bytes().replace(b"\x06\0\0\0broken", b"\x06\0\0\0BROKEN"))
    first, second = plan_of(str(path)).units
    assert first.damage
    assert second.duplicates == ()


def test_no_rows_no_units(tmp_path: Path) -> None:
    assert plan_of(nested(tmp_path / "a.parquet")) == Plan((), contiguous=True)


# Flat


@pytest.mark.parametrize(
    ("query_ids", "expected"),
    [
        ("aabbcc", [(0, 0, 2), (1, 2, 4), (2, 4, 6)]),
        ("aaabcc", [(0, 0, 3), (1, 3, 4), (2, 4, 6)]),  # a ends in the second row group
        ("abbbbc", [(0, 0, 5), (2, 5, 6)]),  # b fills the second
        ("aaaaaa", [(0, 0, 6)]),
        ("abbcdd", [(0, 0, 3), (1, 3, 4), (2, 4, 6)]),
    ],
)
def test_a_unit_has_the_queries_that_start_in_a_row_group(
    query_ids: str, expected: list[tuple[int, int, int]], tmp_path: Path
) -> None:
    made = plan_of(flat(tmp_path / "a.parquet", *query_ids, row_group_size=2))
    assert made.contiguous
    assert [(unit.row_group, unit.start, unit.stop) for unit in made.units] == expected
    assert [unit.row_group_start for unit in made.units] == [2 * row_group for row_group, _, _ in expected]
    assert all(unit.duplicates == () for unit in made.units)


def test_rows_without_a_usable_id_stand_alone(tmp_path: Path) -> None:
    path = flat(tmp_path / "a.parquet", None, None, " ", " ", "a", "a", b"\xff", b"\xff", row_group_size=3)
    made = plan_of(path)
    assert made.contiguous
    assert rows(made) == [(0, 0, 0, 3), (0, 1, 3, 6), (0, 2, 6, 8)]
    alone = flat(tmp_path / "b.parquet", None, "a", None, row_group_size=1)
    assert rows(plan_of(alone)) == [(0, 0, 0, 1), (0, 1, 1, 2), (0, 2, 2, 3)]


@pytest.mark.parametrize(
    ("query_ids", "again"),
    [(["aba"], (0, "a")), (["ab", "a"], (1, "a")), (["aa", "ab"], (1, "a")), (["ab", "cb"], (1, "b"))],
)
def test_rows_of_a_query_that_stand_apart(query_ids: list[str], again: tuple[int, str], tmp_path: Path) -> None:
    paths = [flat(tmp_path / f"{i}.parquet", *ids) for i, ids in enumerate(query_ids)]
    file, query_id = again
    assert plan_of(*paths) == Plan((), contiguous=False, scattered=(paths[file], query_id))


def test_a_null_between_rows_sets_them_apart(tmp_path: Path) -> None:
    assert not plan_of(flat(tmp_path / "a.parquet", "a", None, "a")).contiguous


def test_a_damaged_row_group_ends_the_query_before(tmp_path: Path) -> None:
    path = flat(tmp_path / "a.parquet", *"aabbbc", row_group_size=2)
    damage(path, 1, "query_id")
    assert rows(plan_of(path)) == [(0, 0, 0, 2), (0, 1, 2, 4), (0, 2, 4, 6)]
    around = flat(tmp_path / "b.parquet", *"aabbac", row_group_size=2)
    damage(around, 1, "query_id")
    assert not plan_of(around).contiguous


# Kept on disk


def test_a_plan_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    path = nested(tmp_path / "a.parquet", *"abcbca", row_group_size=2)
    damage(path, 0, "query_id")
    files = inspect([path, nested(tmp_path / "b.parquet", *"xb")], start_index=5)
    made = plan(files)
    assert made.units[0].damage
    assert made.units[2].duplicates == (4,)
    save_plan(str(tmp_path / "out"), files, made)
    assert load_plan(str(tmp_path / "out"), files) == made
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["_plan.parquet"]


def test_a_plan_that_says_regroup(tmp_path: Path) -> None:
    files = inspect([flat(tmp_path / "a.parquet", *"aba")])
    save_plan(str(tmp_path), files, plan(files))
    assert load_plan(str(tmp_path), files) == Plan((), contiguous=False)


def test_no_plan_or_that_of_other_files(tmp_path: Path) -> None:
    files = inspect([nested(tmp_path / "a.parquet", *"ab")])
    assert load_plan(str(tmp_path), files) is None
    save_plan(str(tmp_path), files, plan(files))
    assert load_plan(str(tmp_path), [*files, *inspect([nested(tmp_path / "b.parquet", "c")], start_index=1)]) is None
    assert load_plan(str(tmp_path), inspect([nested(tmp_path / "a.parquet", *"ac")])) is None
