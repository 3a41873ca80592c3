"""Queries, and columns of a shard, that are larger than the offsets of Arrow's strings count: with a smaller limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.input_files import candidate, flat_table, nested_table, pair, pairs, query, read, rejected, write
from tests.support.shards import make_scores
from transforms.input import arrays, parquet
from transforms.input.inputs import inspect
from transforms.input.regroup import regroup
from transforms.output.commit import results

LIMIT = 4000
DETAIL = "the query and its documents hold more than 2 GiB; shorten them, or keep fewer columns"


@pytest.fixture(autouse=True)
def limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MOST_BYTES", LIMIT)


def documents(query_id: str) -> list[tuple[str, str]]:
    return [(f"{query_id}.{number}", ("x" if query_id == "large" else "y") * 1500) for number in range(3)]


@pytest.mark.parametrize("layout", ["nested", "flat", "flat in one row group"])
def test_a_query_beyond_the_limit_is_rejected_and_its_neighbours_are_read(layout: str, tmp_path: Path) -> None:
    small = {"a": [("a.0", "text"), ("a.1", "text")], "b": [("b.0", "text")], "c": [("c.0", "text")]}
    lists = {"a": small["a"], "large": documents("large"), "b": small["b"], "c": small["c"]}
    if layout == "nested":
        table = nested_table([query(name, [candidate(*row) for row in documents]) for name, documents in lists.items()])
    else:
        table = flat_table([pair(name, *row) for name, documents in lists.items() for row in documents])
    path = write(tmp_path / "a.parquet", table, row_group_size=2 if layout == "flat" else None)
    shards = read(path)
    assert pairs(shards) == [(name, doc_id) for name, documents in small.items() for doc_id, _ in documents]
    (row,) = rejected(shards, "n_candidates", "detail", "source_row")
    assert row == ("unreadable", 3, DETAIL, 1 if layout == "nested" else 2)


def test_a_shard_ends_before_a_kept_column_is_beyond_the_limit(tmp_path: Path) -> None:
    table = flat_table([pair(f"q{n}", "d", kept="k" * 900) for n in range(9)], kept=pa.string())
    shards = read(write(tmp_path / "a.parquet", table, row_group_size=9), keep_columns=["kept"])
    assert [shard.pairs.num_rows for shard in shards] == [4, 4, 1]


@pytest.mark.parametrize("kept", [b"k" * 900, ["k" * 900], {"a": "k" * 900}], ids=["binary", "list", "struct"])
def test_bytes_of_every_type_with_offsets_count(kept: object, tmp_path: Path) -> None:
    column = pa.array([kept] * 9)
    table = flat_table([pair(f"q{n}", "d") for n in range(9)]).append_column("kept", column)
    shards = read(write(tmp_path / "a.parquet", table), keep_columns=["kept"])
    assert [shard.pairs.num_rows for shard in shards] == [4, 4, 1]


def test_a_query_s_kept_column_is_written_for_each_of_its_pairs_in_chunks(tmp_path: Path) -> None:
    rows = [query(name, [candidate(f"{name}{n}") for n in range(4)], kept=name * 400) for name in "ab"]
    (shard,) = read(write(tmp_path / "a.parquet", nested_table(rows, kept=pa.string())), keep_columns=["kept"])
    scored, _ = results(shard, make_scores(*range(8)))
    assert scored["kept"].to_pylist() == ["a" * 400] * 4 + ["b" * 400] * 4
    assert max(chunk.nbytes for chunk in scored["kept"].chunks) <= LIMIT


def test_a_list_that_arrow_cannot_read_as_strings_is_rejected_and_the_rows_after_it_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_batches = pq.ParquetFile.iter_batches

    def iter_batches(file: Any, *args: Any, **options: Any) -> Iterator[pa.RecordBatch]:
        for batch in read_batches(file, *args, **options):
            if batch.nbytes > LIMIT and file.schema_arrow.field("query").type != pa.large_string():  # beyond 2 GiB
                raise pa.ArrowNotImplementedError("Nested data conversions not implemented for chunked array outputs")
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", iter_batches)
    monkeypatch.setattr(parquet, "_BATCH_VALUES", 4)
    lists = {"a": [("a.0", "A")], "b": [("b.0", "B")], "large": documents("large"), "c": [("c.0", "C")]}
    table = nested_table([query(name, [candidate(*row) for row in documents]) for name, documents in lists.items()])
    shards = read(write(tmp_path / "a.parquet", table))
    assert pairs(shards, "text") == [("a", "a.0", "A"), ("b", "b.0", "B"), ("c", "c.0", "C")]
    assert rejected(shards, "n_candidates", "detail", "source_row") == [("unreadable", 3, DETAIL, 2)]


def test_a_bucket_beyond_the_limit_is_regrouped_in_pieces(tmp_path: Path) -> None:
    rows = [pair(f"q{n % 9}", f"{n}", f"{n} " + "t" * 400, query=f"query {n % 9}", kept=[f"{n}"]) for n in range(45)]
    path = write(tmp_path / "a.parquet", flat_table(rows, kept=pa.list_(pa.string())))
    (part,) = regroup(inspect([path], ["kept"]), str(tmp_path), ["kept"])
    assert pq.read_metadata(part).num_row_groups == 9
    shards = read(part, keep_columns=["kept"])
    assert pairs(shards, "text", "keep.kept", "source_row") == [
        (f"q{n % 9}", f"{n}", f"{n} " + "t" * 400, [f"{n}"], n) for q in range(9) for n in range(q, 45, 9)
    ]
    assert rejected(shards) == []


def test_of_a_bucket_beyond_the_limit_only_a_query_beyond_it_is_rejected(tmp_path: Path) -> None:
    large = [pair("large", doc_id, text, kept="k") for doc_id, text in documents("large")]
    nameless = [pair(None, f"n.{n}", "z" * 1500) for n in range(3)]
    others = [pair("a", "a.0", "A"), pair("b", "b.0", "B"), pair("a", "a.1", "A")]
    rows = [row for rows in zip(large, nameless, others, strict=True) for row in rows]
    path = write(tmp_path / "a.parquet", flat_table(rows, kept=pa.string()))
    shards = read(*regroup(inspect([path], ["kept"]), str(tmp_path), ["kept"]), keep_columns=["kept"])
    assert pairs(shards, "text") == [("a", "a.0", "A"), ("a", "a.1", "A"), ("b", "b.0", "B")]
    columns = ("query_id", "n_candidates", "detail", "source_file", "source_row")
    assert sorted(rejected(shards, *columns)) == [
        ("null_query_id", None, 1, None, path, 1),
        ("null_query_id", None, 1, None, path, 4),
        ("null_query_id", None, 1, None, path, 7),
        ("unreadable", None, 3, DETAIL, path, 0),
    ]


def test_a_long_query_is_not_copied_for_each_of_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    long = "a" * (1 << 20)
    table = flat_table([pair("q", f"{n}", query=long if n in (0, 2100) else "other") for n in range(2101)])
    shards = read(write(tmp_path / "a.parquet", table))
    assert pairs(shards) == [("q", "0"), ("q", "2100")]
    assert rejected(shards) == [("conflicting_query",)] * 2099
