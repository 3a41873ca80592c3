from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.input_files import candidate, flat_table, nested_table, pair, query, read, write
from transforms.base.errors import UserError
from transforms.input.inputs import inspect

TWO = nested_table([query("a", [candidate("d"), None, candidate(None)]), query("b", None), query("c", [])])


def error_of(*paths: str, keep_columns: tuple[str, ...] = ()) -> str:
    with pytest.raises(UserError) as error:
        inspect(paths, keep_columns)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_a_footer_tells(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", TWO)
    (file,) = inspect([path], start_index=7)
    data = Path(path).read_bytes()
    length = int.from_bytes(data[-8:-4], "little")
    assert (file.index, file.path, file.size, file.layout, file.rows) == (7, path, len(data), "nested", 3)
    assert file.footer_hash == hashlib.sha256(data[-8 - length : -8]).hexdigest()
    assert file.pairs == 1  # neither the null entry nor the null id: the footer counts what is there


def test_a_footer_longer_than_one_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", flat_table([pair("q", str(i)) for i in range(1000)]), row_group_size=1)
    assert int.from_bytes(Path(path).read_bytes()[-8:-4], "little") > 64 << 10
    assert inspect([path])[0].pairs == 1000


def test_pairs_of_the_flat_layout_are_its_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", flat_table([pair("q", "1"), pair(None, None)]))
    assert [(file.layout, file.rows, file.pairs) for file in inspect([path])] == [("flat", 2, 2)]


def test_pairs_are_unknown_without_statistics(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", TWO, write_statistics=False)
    assert inspect([path])[0].pairs is None


def test_other_names_inside_the_list(tmp_path: Path) -> None:
    item = pa.field("item", TWO.schema.field("candidates").type.value_type)
    table = TWO.set_column(2, "candidates", TWO["candidates"].cast(pa.list_(item)))
    path = write(tmp_path / "a.parquet", table, use_compliant_nested_type=False)
    assert pq.read_metadata(path).schema.column(2).path == "candidates.list.item.doc_id"
    assert inspect([path])[0].pairs == 1
    assert [shard.pairs["doc_id"].to_pylist() for shard in read(path)] == [["d"]]


def test_files_without_rows_are_not_checked_further(tmp_path: Path) -> None:
    full = write(tmp_path / "a.parquet", flat_table([pair("q", "1")]))
    empty = write(tmp_path / "b.parquet", pa.table({"query_id": pa.nulls(0), "candidates": pa.nulls(0)}))
    assert [(file.layout, file.rows, file.pairs) for file in inspect([full, empty])] == [("flat", 1, 1), ("flat", 0, 0)]
    assert inspect([empty])[0].rows == 0
    assert [shard.name for shard in read(empty, full)] == ["part-00001-00000-00000"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"query_id,query\n", b"PAR1" + b"\0" * 100 + b"\xff\xff\0\0PAR1"])
def test_not_parquet(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert error_of(str(path)) == f"{path}: not a Parquet file, or one cut short: it does not end in a footer"


def test_a_file_cut_short(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.parquet", TWO))
    path.write_bytes(path.read_bytes()[:-20])
    assert error_of(str(path)) == f"{path}: not a Parquet file, or one cut short: it does not end in a footer"


def test_a_damaged_footer(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "a.parquet", TWO))
    data = bytearray(path.read_bytes())
    length = int.from_bytes(data[-8:-4], "little")
    data[-8 - length : -8] = b"\xff" * length
    path.write_bytes(data)
    assert error_of(str(path)).startswith(f"{path}: its Parquet footer cannot be read: ")


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    assert error_of(str(tmp_path / "a.parquet")).startswith(f"{tmp_path}/a.parquet: cannot be read: ")


NAME_IT = "rename one, or give pipelines.rerank --columns"


def test_neither_layout(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", pa.table({"qid": ["1"], "question": ["?"]}))
    assert error_of(path) == (
        f'{path}: no column "candidates" (one row per query) nor "doc_id" (one row per pair); it has qid, question; '
        "rename one, or give pipelines.rerank --columns candidates=COLUMN or doc_id=COLUMN, or, if these are documents "
        "or queries, give them to `python -m pipelines.candidates --corpus FILE --queries FILE`"
    )


@pytest.mark.parametrize("column", ["query_id", "query", "text"])
def test_a_missing_column(column: str, tmp_path: Path) -> None:
    table = flat_table([pair("q", "1")]).drop_columns(column)
    path = write(tmp_path / "a.parquet", table)
    assert (
        error_of(path)
        == f"{path}: no column {column!r}; it has {', '.join(table.column_names)}; {NAME_IT} {column}=COLUMN"
    )


def test_a_missing_field(tmp_path: Path) -> None:
    table = pa.table({"query_id": ["q"], "query": ["?"], "candidates": [[{"doc_id": "1", "body": "text"}]]})
    path = write(tmp_path / "a.parquet", table)
    assert error_of(path) == f"{path}: no candidates field 'text'; it has doc_id, body; {NAME_IT} text=COLUMN"


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    table = flat_table([pair("q", "1")])
    path = write(tmp_path / "a.parquet", table.append_column("text", table["text"]))
    assert error_of(path) == f"{path}: column 'text' appears twice; leave one"
    table = flat_table([pair("q", "1", lang="de")], lang=pa.string())
    path = write(tmp_path / "b.parquet", table.append_column("lang", table["lang"]))
    assert len(inspect([path])) == 1
    assert error_of(path, keep_columns=("lang",)) == f"{path}: column 'lang' appears twice; leave one"


WRONG_TYPES = [
    ("query_id", pa.array([1.5]), "double, not a string or an integer"),
    ("query_id", pa.array([True]), "bool, not a string or an integer"),
    ("query", pa.array([1]), "int64, not a string"),
    ("query", pa.array([b"query"]), "binary, not a string"),
    ("doc_id", pa.array([[1]]), "list<element: int64>, not a string or an integer"),
    ("text", pa.array([1.0]), "double, not a string"),
    ("title", pa.array([1]).dictionary_encode(), "int64, not a string"),
    ("instruction", pa.array([True]), "bool, not a string"),
    ("score", pa.array(["1.5"]), "string, not a number"),
    ("rank", pa.array([1.0]), "double, not an integer"),
]


@pytest.mark.parametrize(("column", "values", "message"), WRONG_TYPES)
def test_a_wrong_type(column: str, values: pa.Array, message: str, tmp_path: Path) -> None:
    table = flat_table([pair("q", "1", title="t", instruction="i", score=1.0, rank=1)])
    path = write(tmp_path / "a.parquet", table.set_column(table.schema.get_field_index(column), column, values))
    sql_type = {"score": "DOUBLE", "rank": "BIGINT"}.get(column, "VARCHAR")
    expected = f"{path}: column {column!r} is {message}; convert it, in SQL CAST({column} AS {sql_type})"
    assert error_of(path) == expected


def test_a_wrong_type_of_a_field(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", nested_table([query("q", [candidate(1.5)])], doc_id=pa.float64()))
    assert error_of(path) == f"{path}: candidates field 'doc_id' is double, not a string or an integer; " + (
        "convert it, in SQL CAST(doc_id AS VARCHAR)"
    )


@pytest.mark.parametrize("candidates", ["text", [["d1"]], [{"doc_id": "d1"}]])
def test_candidates_that_are_no_list_of_structs(candidates: Any, tmp_path: Path) -> None:
    value = candidates if isinstance(candidates, str) else candidates[0]
    table = pa.table({"query_id": ["q"], "query": ["?"], "candidates": [value]})
    path = write(tmp_path / "a.parquet", table)
    assert f'{path}: column "candidates" is ' in error_of(path)
    assert ", not a list of structs; give one row per query" in error_of(path)


def test_a_fault_in_any_file_is_named(tmp_path: Path) -> None:
    good = write(tmp_path / "a.parquet", TWO)
    bad = write(tmp_path / "b.parquet", TWO.drop_columns("query"))
    assert error_of(good, bad) == f"{bad}: no column 'query'; it has query_id, candidates; {NAME_IT} query=COLUMN"


def test_both_layouts_in_one_job(tmp_path: Path) -> None:
    nested = write(tmp_path / "a.parquet", TWO)
    flat = write(tmp_path / "b.parquet", flat_table([pair("q", "1")]))
    assert error_of(flat, nested) == (
        f"{nested} has one row per query and {flat} one row per pair; give files of one layout to a job"
    )


def test_columns_to_keep(tmp_path: Path) -> None:
    rows = [query("q", [candidate("d", year=1999)], lang="de")]
    path = write(tmp_path / "a.parquet", nested_table(rows, year=pa.int64(), lang=pa.string()))
    assert len(inspect([path], ["lang", "year", "query", "text"])) == 1
    assert error_of(path, keep_columns=("age",)) == (
        f"{path}: no column 'age' to keep, of the query or of the candidates; "
        "it has query_id, query, lang, candidates, doc_id, text, year"
    )
    assert error_of(path, keep_columns=("candidates",)).startswith(f"{path}: no column 'candidates' to keep")


@pytest.mark.parametrize("column", ["query_id", "doc_id", "rank", "score", "tokens", "group"])
def test_columns_of_the_output_cannot_be_kept(column: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", TWO)
    assert error_of(path, keep_columns=(column,)) == (
        f"--keep_columns {column}: the output has a column of that name already; leave it out"
    )


def test_a_column_to_keep_at_both_levels(tmp_path: Path) -> None:
    table = nested_table([query("q", [candidate("d", lang="de")], lang="en")], lang=pa.string())
    path = write(tmp_path / "a.parquet", table)
    assert error_of(path, keep_columns=("lang",)) == (
        f"--keep_columns lang: both the query and the candidates have it in {path}; rename one"
    )


def test_a_column_to_keep_has_one_type(tmp_path: Path) -> None:
    rows = [pair("q", "1", lang="7")]
    paths = [
        write(tmp_path / "a.parquet", flat_table(rows, lang=pa.string())),
        write(tmp_path / "b.parquet", flat_table(rows, lang=pa.large_string())),
        write(tmp_path / "c.parquet", flat_table([pair("q", "1", lang=7)], lang=pa.int64())),
    ]
    assert len(inspect(paths[:2], ["lang"])) == 2
    assert error_of(*paths, keep_columns=("lang",)) == (
        f"--keep_columns lang: it is string in {paths[0]} and int64 in {paths[2]}; give it one type in all files"
    )


def test_what_another_program_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    duckdb.sql(
        "COPY (SELECT 'q' AS query_id, '?' AS query, [{'doc_id': 1, 'text': 'a'}, {'doc_id': 2, 'text': 'b'}] "
        f"AS candidates) TO '{path}' (FORMAT parquet)"
    )
    assert inspect([str(path)])[0].pairs == 2
    assert [shard.pairs["doc_id"].to_pylist() for shard in read(str(path))] == [["1", "2"]]
