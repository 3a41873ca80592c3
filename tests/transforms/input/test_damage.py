from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.support.input_files import (
    candidate,
    count,
    damage,
    flat_table,
    nested_table,
    pair,
    pairs,
    query,
    read,
    rejected,
    sizes,
    write,
)
from transforms.base.errors import UserError
from transforms.input import parquet
from transforms.input.inputs import inspect
from transforms.input.plan import plan
from transforms.input.reader import read_shards


def test_a_damaged_row_group(tmp_path: Path) -> None:
    rows = [query(str(i), [candidate("1"), candidate("2")]) for i in range(6)]
    path = write(tmp_path / "a.parquet", nested_table(rows), row_group_size=2)
    damage(path, 1, "candidates.list.element.text")
    shards = read(path)
    assert sizes(shards) == [(f"part-00000-{i:05d}-00000", True, n) for i, n in enumerate([4, 0, 4])]
    columns = ("query_id", "doc_id", "n_candidates", "source_file", "source_row")
    assert rejected(shards, *columns) == [("unreadable", None, None, 4, path, 2)]
    assert count(shards, "queries") == 4
    assert shards[1].rejected["detail"][0].as_py()
    assert shards[1].pairs.schema.equals(shards[0].pairs.schema)


def test_what_comes_before_the_damage_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_BATCH_VALUES", 10)
    rows = [query(str(i), [candidate(str(j), f"{i} {j} " * 50) for j in range(10)]) for i in range(40)]
    path = tmp_path / "a.parquet"
    small_pages = {"use_dictionary": False, "data_page_size": 1000, "write_batch_size": 1, "write_page_checksum": True}
    write(path, nested_table(rows), compression="none", **small_pages)
    path.write_bytes(path.read_bytes().replace(b"20 0 20 0 ", b"20 0 20 1 "))
    shards = read(str(path), shard_pairs=100)
    good = pairs(shards)
    assert good == [(str(i), str(j)) for i in range(len(good) // 10) for j in range(10)]
    assert 100 <= len(good) <= 200
    assert rejected(shards, "n_candidates", "source_row") == [("unreadable", 400 - len(good), len(good) // 10)]
    assert [shard.last for shard in shards] == [False] * (len(shards) - 1) + [True]


def test_damaged_query_ids(tmp_path: Path) -> None:
    rows = [query(query_id, [candidate("1")]) for query_id in ("a", "b", "c", "d", "c", "e")]
    path = write(tmp_path / "a.parquet", nested_table(rows), row_group_size=2)
    damage(path, 1, "query_id")
    shards = read(path)
    assert pairs(shards) == [("a", "1"), ("b", "1"), ("c", "1"), ("e", "1")]
    assert rejected(shards, "n_candidates", "source_row") == [("unreadable", 2, 2)]


@pytest.mark.parametrize(("column", "lost"), [("text", 2), ("query_id", 2)])
def test_a_damaged_row_group_of_the_flat_layout(column: str, lost: int, tmp_path: Path) -> None:
    rows = [pair(query_id, str(i)) for i, query_id in enumerate("aabbbc")]
    path = write(tmp_path / "a.parquet", flat_table(rows), row_group_size=2)
    damage(path, 1, column)
    shards = read(path)
    assert rejected(shards, "n_candidates", "source_row") == [("unreadable", lost, 2)]
    assert pairs(shards) == [("a", "0"), ("a", "1"), ("b", "4"), ("c", "5")]


def test_damage_in_rows_that_an_earlier_unit_reads(tmp_path: Path) -> None:
    rows = [pair(query_id, str(i)) for i, query_id in enumerate("aaab")]
    path = write(tmp_path / "a.parquet", flat_table(rows), row_group_size=2)
    damage(path, 1, "text")
    assert rejected(read(path), "n_candidates", "source_row") == [("unreadable", 1, 2), ("unreadable", 1, 3)]


class Unplugged(io.FileIO):
    """A file whose connection is lost once the footer has been read."""

    def __init__(self, path: str, error: Exception) -> None:
        super().__init__(path)
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        raise self._error


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), OSError(5, "I/O error"), RuntimeError("remote")])
def test_a_failing_filesystem_is_no_damage(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", nested_table([query("q", [candidate("d")])]))
    (unit,) = plan(inspect([path])).units
    monkeypatch.setattr(parquet, "open_columns", lambda path: Unplugged(path, error))
    with pytest.raises(type(error)):
        list(read_shards(unit))


def test_a_file_that_was_changed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", nested_table([query("q", [candidate("d")])]))
    (unit,) = plan(inspect([path])).units
    write(tmp_path / "a.parquet", nested_table([query("q", [candidate("d"), candidate("e")])]))
    for clear in (False, True):  # in a process that has read the footer before, and in one that has not
        if clear:
            parquet._expected.cache_clear()
        with pytest.raises(UserError, match=f"^{path}: has changed since the job first inspected it; "):
            list(read_shards(unit))


def test_a_file_that_was_changed_and_is_as_long_as_before(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", nested_table([query("q", [candidate("d")])]))
    size = Path(path).stat().st_size
    (unit,) = plan(inspect([path])).units
    assert len(list(read_shards(unit))) == 1
    write(tmp_path / "a.parquet", nested_table([query("q", [candidate("e")])]))
    assert Path(path).stat().st_size == size
    with pytest.raises(UserError, match=f"^{path}: has changed since the job first inspected it; "):
        list(read_shards(unit))


def test_a_file_that_has_gone(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", nested_table([query("q", [candidate("d")])]))
    (unit,) = plan(inspect([path])).units
    Path(path).unlink()
    with pytest.raises(UserError, match=f"^{path}: has gone since the job first inspected it; put it back, and the"):
        list(read_shards(unit))
