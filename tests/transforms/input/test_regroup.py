from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
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
    write,
)
from tests.support.object_store import ObjectStore
from transforms.base.files import write_atomically
from transforms.input import regroup as regrouping
from transforms.input.inputs import inspect
from transforms.input.plan import Plan, load_plan, plan, save_plan
from transforms.input.regroup import regroup


def flat_rows(n_queries: int = 25) -> list[dict[str, Any]]:
    return [
        pair(f"q{q}", f"d{i}", f"text {q} {i}", query=f"query {q}", score=float(i % 3), lang=f"l{i % 2}")
        for q in range(n_queries)
        for i in range(1 + q * 7 % 5)
    ]


def scattered(tmp_path: Path, rows: list[dict[str, Any]], n_files: int = 3) -> list[str]:
    """The rows in another order, in some files; file and row stand in each text."""
    shuffled = random.Random(3).sample(rows, len(rows))
    paths = []
    for number in range(n_files):
        part = shuffled[number::n_files]
        path = tmp_path / f"{number}.parquet"
        part = [row | {"text": row["text"] and f"{path} {i}"} for i, row in enumerate(part)]
        paths.append(write(path, flat_table(part, lang=pa.string()), row_group_size=7))
    return paths


def by_bucket(monkeypatch: pytest.MonkeyPatch, size: int = 1000) -> None:
    monkeypatch.setattr(regrouping, "_BUCKET_BYTES", size)
    monkeypatch.setattr(regrouping, "_HELD_BYTES", size)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_queries_come_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_bucket(monkeypatch)
    rows = flat_rows()
    paths = scattered(tmp_path, rows)
    files = inspect(paths, ["lang"])
    assert not plan(files).contiguous
    parts = regroup(files, str(tmp_path / "out"), ["lang"])
    assert len(parts) > 3
    assert sorted(parts) == sorted(str(path) for path in (tmp_path / "out" / "_regrouped").iterdir())

    nested = inspect(parts, ["lang"])
    assert sum(file.rows for file in nested) == 25
    assert sum(file.pairs or 0 for file in nested) == len(rows)
    shards = read(*parts, keep_columns=["lang"])
    carried = pairs(shards, "first_stage_score", "keep.lang")
    assert sorted(carried) == sorted((row["query_id"], row["doc_id"], row["score"], row["lang"]) for row in rows)
    assert rejected(shards) == []
    assert {q["query_id"]: q["query"] for s in shards for q in s.queries.to_pylist()} == {
        row["query_id"]: row["query"] for row in rows
    }


def test_pairs_remember_their_own_file_and_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_bucket(monkeypatch)
    parts = regroup(inspect(scattered(tmp_path, flat_rows())), str(tmp_path))
    origins = pairs(read(*parts), "text", "source_file", "source_row")
    assert len({path for *_, path, _ in origins}) == 3
    assert all(text == f"{path} {row}" for _, _, text, path, row in origins)


def test_the_order_is_that_of_first_appearance(tmp_path: Path) -> None:
    first = write(tmp_path / "a.parquet", flat_table([pair(q, d) for q, d in [("b", "1"), ("a", "1"), ("b", "0")]]))
    second = write(tmp_path / "b.parquet", flat_table([pair(q, d) for q, d in [("c", "1"), ("a", "0"), ("b", "2")]]))
    parts = regroup(inspect([first, second]), str(tmp_path))
    assert pairs(read(*parts), "given_position") == [
        ("b", "1", 0),
        ("b", "0", 1),
        ("b", "2", 2),
        ("a", "1", 0),
        ("a", "0", 1),
        ("c", "1", 0),
    ]


def test_a_query_and_rows_without_ids_are_found_in_several_files(tmp_path: Path) -> None:
    files = [[("a", "1"), (None, "1")], [(None, "2"), ("a", "2")]]
    paths = [
        write(tmp_path / f"{place}.parquet", flat_table([pair(q, d) for q, d in rows]))
        for place, rows in enumerate(files)
    ]
    shards = read(*regroup(inspect(paths), str(tmp_path)))
    assert pairs(shards, "doc_id") == [("a", "1", "1"), ("a", "2", "2")]
    assert rejected(shards, "source_file", "source_row") == [
        ("null_query_id", paths[0], 1),
        ("null_query_id", paths[1], 0),
    ]


def test_faults_survive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_bucket(monkeypatch, 200)
    rows = [
        pair("a", "1", query=None),
        pair(None, "1"),
        pair("b", "1"),
        pair("a", "2", query="one"),
        pair(" ", "1"),
        pair("a", "3", query="two"),
        pair(b"\xff", "1"),
        pair("a", None, query="one"),
        pair("a", "4", None, query="one"),
        pair("a", "2", query="one"),
        pair("a", "5", b"\xff", query="one"),
        pair(None, "2"),
        pair("b", "2"),
    ]
    path = write(tmp_path / "a.parquet", flat_table(rows))
    shards = read(*regroup(inspect([path]), str(tmp_path)))
    columns = ("query_id", "doc_id", "n_candidates", "source_row", "source_file")
    assert sorted(rejected(shards, *columns), key=lambda row: row[4]) == [
        ("null_query", "a", "1", None, 0, path),
        ("null_query_id", None, None, 1, 1, path),
        ("blank_query_id", " ", None, 1, 4, path),
        ("conflicting_query", "a", "3", None, 5, path),
        ("invalid_utf8", None, None, 1, 6, path),
        ("null_doc_id", "a", None, None, 7, path),
        ("null_text", "a", "4", None, 8, path),
        ("duplicate_doc_id", "a", "2", None, 9, path),
        ("invalid_utf8", "a", "5", None, 10, path),
        ("null_query_id", None, None, 1, 11, path),
    ]
    assert sorted(pairs(shards, "source_row")) == [("a", "2", 3), ("b", "1", 2), ("b", "2", 12)]
    assert count(shards, "queries") == 6


@pytest.mark.parametrize("column", ["query_id", "text"])
def test_a_damaged_row_group(column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_bucket(monkeypatch, 300)
    rows = [pair(query_id, str(i)) for i, query_id in enumerate("ababab")]
    path = write(tmp_path / "a.parquet", flat_table(rows), row_group_size=2)
    damage(path, 1, column)
    shards = read(*regroup(inspect([path]), str(tmp_path)))
    assert rejected(shards, "n_candidates", "source_file", "source_row") == [("unreadable", 2, path, 2)]
    assert sorted(pairs(shards)) == [("a", "0"), ("a", "4"), ("b", "1"), ("b", "5")]
    assert count(shards, "queries") == 2


def test_kept_columns_of_any_name_and_type(tmp_path: Path) -> None:
    kept = {"bucket": pa.list_(pa.struct([("bucket", pa.int64())])), "source_row": pa.float16(), "fault": pa.date32()}
    values = {"bucket": [{"bucket": 1}], "source_row": 0.5, "fault": None}
    rows = [pair(q, str(i), **values) for i, q in enumerate("aba")]
    names = [*kept, "query", "text", "title"]
    path = write(tmp_path / "a.parquet", flat_table([row | {"title": "T"} for row in rows], **kept))
    parts = regroup(inspect([path], names), str(tmp_path), names)
    (shard,) = read(*parts, keep_columns=names)
    names = [f"keep.{name}" for name in ("bucket", "source_row", "fault", "text", "title")]
    assert shard.pairs.column_names[7:] == names
    assert [shard.pairs.column(i)[0].as_py() for i in range(7, 12)] == [[{"bucket": 1}], 0.5, None, "text", "T"]
    assert shard.queries.column_names[4:] == ["keep.query"]
    assert [shard.pairs.schema.field(i).type for i in range(7, 10)] == list(kept.values())


def test_a_column_of_the_user_is_not_taken_for_the_jobs_own(tmp_path: Path) -> None:
    table = nested_table([query("q", [candidate("d", __rerank_fault="unreadable")])], __rerank_fault=pa.string())
    assert pairs(read(write(tmp_path / "a.parquet", table))) == [("q", "d")]


def test_row_groups_of_the_result_are_small_enough_to_share_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regrouping, "_ROW_GROUP_PAIRS", 10)
    (part,) = regroup(inspect(scattered(tmp_path, flat_rows())), str(tmp_path))
    metadata = pq.read_metadata(part)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [3, 3, 3, 3, 3, 3, 3, 3, 1]


def test_on_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_bucket(monkeypatch)
    monkeypatch.setattr(ObjectStore, "objects", {})
    paths = [f"mem://bucket/{i}.parquet" for i in range(3)]
    for path, local in zip(paths, scattered(tmp_path, flat_rows()), strict=True):
        ObjectStore.objects[path] = Path(local).read_bytes()
    files = inspect(paths)
    save_plan("mem://bucket/out", files, plan(files))
    assert load_plan("mem://bucket/out", files) == Plan((), contiguous=False)
    parts = regroup(files, "mem://bucket/out")
    assert len(parts) > 3
    assert parts == [path for path in ObjectStore.objects if path.startswith("mem://bucket/out/_regrouped/")]
    assert len(pairs(read(*parts))) == len(flat_rows())


class Killed(BaseException):
    pass


def killed_after(commits: int) -> Callable[..., None]:
    left = iter(range(commits))

    def write(path: str, fill: Callable[[Any], None]) -> None:
        if next(left, None) is None:
            raise Killed
        write_atomically(path, fill)

    return write


def test_a_resume_gives_the_same_bytes_and_repeats_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_bucket(monkeypatch, 3000)
    files = inspect(scattered(tmp_path, flat_rows(), n_files=2))
    whole = regroup(files, str(tmp_path / "whole"))
    expected = contents(tmp_path / "whole" / "_regrouped")
    steps = len(files) + len(whole)
    for commits in range(steps):
        output = tmp_path / str(commits)
        monkeypatch.setattr(regrouping, "write_atomically", killed_after(commits))
        with pytest.raises(Killed):
            regroup(files, str(output))
        monkeypatch.setattr(regrouping, "write_atomically", killed_after(steps - commits))
        assert [Path(part).name for part in regroup(files, str(output))] == [Path(part).name for part in whole]
        assert contents(output / "_regrouped") == expected
        monkeypatch.setattr(regrouping, "write_atomically", killed_after(0))
        regroup(files, str(output))


def test_killed_while_it_cleans_up(tmp_path: Path) -> None:
    files = inspect(scattered(tmp_path, flat_rows()))
    regroup(files, str(tmp_path))
    spill = tmp_path / "_regrouped" / "spill-00000000-00000.parquet"
    spill.write_bytes(b"left over")
    (tmp_path / "_regrouped" / ".part.1.tmp").write_bytes(b"left over")
    parts = regroup(files, str(tmp_path))
    assert [str(path) for path in (tmp_path / "_regrouped").iterdir()] == parts


@pytest.mark.parametrize("damage", [lambda data: data[:200], lambda data: data[:99] + b"\xff" * 9 + data[108:]])
@pytest.mark.parametrize("kind", ["part", "spill"])
def test_what_was_damaged_is_made_anew(
    kind: str, damage: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_bucket(monkeypatch, 3000)
    files = inspect(scattered(tmp_path, flat_rows(), n_files=2))
    expected = regroup(files, str(tmp_path / "whole"))
    output = tmp_path / "out"
    monkeypatch.setattr(regrouping, "write_atomically", killed_after(3))  # both spills and a part
    with pytest.raises(Killed):
        regroup(files, str(output))
    monkeypatch.undo()
    by_bucket(monkeypatch, 3000)
    damaged = next((output / "_regrouped").glob(f"{kind}-*"))
    damaged.write_bytes(damage(damaged.read_bytes()))
    parts = regroup(files, str(output))
    assert [Path(part).name for part in parts] == [Path(part).name for part in expected]
    assert contents(output / "_regrouped") == contents(tmp_path / "whole" / "_regrouped")


def test_what_was_regrouped_of_other_input_is_not_used(tmp_path: Path) -> None:
    old = regroup(inspect(scattered(tmp_path, flat_rows(5))), str(tmp_path))
    new = regroup(inspect(scattered(tmp_path, flat_rows(6))), str(tmp_path))
    assert not set(old) & set(new)
    assert len(pairs(read(*new))) == len(flat_rows(6))
    assert not Path(old[0]).exists()
