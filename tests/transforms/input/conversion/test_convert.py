"""Files in forms of all kinds, as the Parquet file that they are converted into."""

from __future__ import annotations

import ast
import gzip
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scripts.walk_readme import REPOSITORY
from transforms.base.errors import UserError
from transforms.input.conversion.convert import convert
from transforms.input.names import ACCEPTED, ColumnNames, parse_columns

PAIR = {"query_id": "007", "query": "q", "doc_id": "1.0", "text": "t"}
NONE = dict.fromkeys(("instruction", "title", "score", "rank"))
CANDIDATES = "or, if these are documents or queries, give them to `python -m pipelines.candidates --corpus FILE"


def table_of(folder: Path, name: str, content: bytes, *columns: str, keep: tuple[str, ...] = ()) -> pa.Table:
    path = folder / name
    path.write_bytes(content)
    names = ColumnNames(parse_columns(columns, ACCEPTED), keep)
    return pq.read_table(convert(str(path), str(folder / "out"), names))


def error_of(folder: Path, name: str, content: bytes, *columns: str, keep: tuple[str, ...] = ()) -> str:
    with pytest.raises(UserError) as error:
        table_of(folder, name, content, *columns, keep=keep)
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"query_id,query,doc_id,text\n007,q,1.0,t\n"),
        ("a.csv", b"\xef\xbb\xbfqid,query,pid,passage\r\n007,q,1.0,t\r\n"),
        ("a.csv", b'"QID","Question","DocNo","Text"\n"007","q","1.0","t"\n'),
        ("a.csv.gz", gzip.compress(b"qid,query,pid,text\n007,q,1.0,t\n", mtime=0)),
        ("a.csv", b"\n007,1.0,q,t\n"),
        ("a.tsv", b"qid\tquery\tpid\ttext\n007\tq\t1.0\tt\n"),
        ("top1000.tsv", b"007\t1.0\tq\tt\n"),
        ("top1000.dev", b"007\t1.0\tq\tt\r\n"),
        ("top1000.eval.gz", gzip.compress(b"007\t1.0\tq\tt\n", mtime=0)),
    ],
)
def test_pairs_in_text(name: str, content: bytes, tmp_path: Path) -> None:
    table = table_of(tmp_path, name, content)
    assert table.to_pylist() == [PAIR]
    assert set(table.schema.types) == {pa.string()}


def test_quotes_are_marks_in_csv_and_text_in_tsv(tmp_path: Path) -> None:
    quoted = table_of(tmp_path, "a.csv", b'qid,pid,query,text\n1,2,"a ""b""\nc","d,e"\n')
    assert quoted.to_pylist() == [{"query_id": "1", "query": 'a "b"\nc', "doc_id": "2", "text": "d,e"}]
    plain = table_of(tmp_path, "a.tsv", b'1\t2\t"a\tb"\n3\t4\tc\t"d"\n')
    assert plain["query"].to_pylist() == ['"a', "c"]
    assert plain["text"].to_pylist() == ['b"', '"d"']


def test_scores_and_ranks_are_numbers_and_nothing_in_a_cell_is_an_empty_text(tmp_path: Path) -> None:
    content = b"qid,query,pid,text,score,rank,lang\n1,q,NA,,0.5,2,null\n2,,null,t,,NaN,7\n"
    table = table_of(tmp_path, "a.csv", content, keep=("lang",))
    assert table.to_pylist() == [
        {"query_id": "1", "query": "q", "doc_id": "NA", "text": "", "score": 0.5, "rank": 2, "lang": "null"},
        {"query_id": "2", "query": "", "doc_id": "null", "text": "t", "score": None, "rank": None, "lang": "7"},
    ]


def test_a_last_row_across_two_blocks_needs_no_newline(tmp_path: Path) -> None:
    header, row = b"qid,query,pid,text\n", b"1,q,d," + b"t" * 93 + b"\n"
    rows = ((4 << 20) - len(header)) // len(row)
    table = table_of(tmp_path, "a.csv", header + row * rows + b"1,q,d," + b"t" * 200)
    assert table.num_rows == rows + 1
    assert table["text"][-1].as_py() == "t" * 200


def test_a_header_alone_and_a_single_column_are_read(tmp_path: Path) -> None:
    assert table_of(tmp_path, "a.csv", b"qid,query,pid,text").num_rows == 0
    columns = ("query_id=a", "query=a", "doc_id=a", "text=a")
    assert table_of(tmp_path, "b.csv", b"a\n1\n2\n", *columns)["text"].to_pylist() == ["1", "2"]


def test_bytes_that_are_no_text_are_left_for_the_job_to_reject(tmp_path: Path) -> None:
    table = table_of(tmp_path, "a.tsv", b"1\t2\tq\tp\xff\n1\t3\tq\tr\n")
    assert table["text"].cast(pa.binary()).to_pylist() == [b"p\xff", b"r"]


def test_json_lines_of_pairs(tmp_path: Path) -> None:
    content = b"""
        {"qid": "007", "query": "q", "pid": 7, "text": "\\ud800a", "score": 1, "rank": 2.0, "label": 3}
        {"qid": 8, "query": null, "title": "t"}
    """
    table = table_of(tmp_path, "a.jsonl", content, keep=("label",))
    assert table.to_pylist() == [
        NONE
        | {"query_id": "007", "query": "q", "doc_id": "7", "text": "\N{REPLACEMENT CHARACTER}a"}
        | {"score": 1.0, "rank": 2, "label": 3},
        NONE | {"query_id": "8", "query": None, "doc_id": None, "text": None, "title": "t", "label": None},
    ]


def test_json_lines_of_lists(tmp_path: Path) -> None:
    content = b"""
        {"qid": 1, "query": "q", "lang": "de", "candidates": [{"pid": "a", "passage": "t", "url": "u"}, null]}
        {"qid": 2, "query": "r", "candidates": null}
    """
    table = table_of(tmp_path, "a.json", content, keep=("lang", "url"))
    entry = dict.fromkeys(("title", "score", "rank")) | {"doc_id": "a", "text": "t", "url": "u"}
    shared = {"instruction": None}
    assert table.to_pylist() == [
        shared | {"query_id": "1", "query": "q", "candidates": [entry, None], "lang": "de"},
        shared | {"query_id": "2", "query": "r", "candidates": None, "lang": None},
    ]


def test_json_lines_that_pandas_writes_as_docs_data_has_it_keep_small_scores(tmp_path: Path) -> None:
    """By its defaults pandas 3.1.1 rounds 3e-11 to 0 and keeps 4e-16: pandas-dev/pandas#23328."""
    written = re.search(r"`(to_json\(.*?\))`", Path(REPOSITORY, "docs", "data.md").read_text(encoding="utf-8"))
    assert written
    [call] = [node for node in ast.walk(ast.parse(written[1])) if isinstance(node, ast.Call)]
    options = {str(option.arg): ast.literal_eval(option.value) for option in call.keywords}
    scores = [0.5, 3e-11, 2e-12, 4e-16]
    pairs = pd.DataFrame([PAIR | {"score": score} for score in scores])
    lists = pd.DataFrame(
        [{"query_id": "1", "query": "q", "candidates": pairs[["doc_id", "text", "score"]].to_dict("records")}]
    )
    for name, frame in {"pairs.jsonl": pairs, "lists.jsonl": lists}.items():
        frame.to_json(tmp_path / name, **options)
    assert table_of(tmp_path, "pairs.jsonl", (tmp_path / "pairs.jsonl").read_bytes())["score"].to_pylist() == scores
    [candidates] = table_of(tmp_path, "lists.jsonl", (tmp_path / "lists.jsonl").read_bytes())["candidates"].to_pylist()
    assert [candidate["score"] for candidate in candidates] == scores


def test_a_field_that_only_later_rows_have_is_read(tmp_path: Path) -> None:
    row = '{"qid": "1", "query": "q", "pid": "%d", "text": "t"%s}\n'
    lines = [row % (number, "") for number in range(5000)] + [row % (5000, ', "title": "t", "score": 2')]
    table = table_of(tmp_path, "a.jsonl", "".join(lines).encode())
    assert table.slice(5000).select(["doc_id", "title", "score"]).to_pylist() == [
        {"doc_id": "5000", "title": "t", "score": 2.0}
    ]
    assert len(table) == 5001


def test_columns_of_other_names_in_every_kind_of_file(tmp_path: Path) -> None:
    columns = ("query_id=Q", "query=asked", "doc_id=D", "text=body")
    assert table_of(tmp_path, "a.csv", b"Q,asked,D,body,text\n007,q,1.0,t,x\n", *columns).to_pylist() == [PAIR]
    assert table_of(tmp_path, "a.tsv", b"Q\tasked\tD\tbody\n007\tq\t1.0\tt\n", *columns).to_pylist() == [PAIR]
    line = b'{"Q": "007", "asked": "q", "D": "1.0", "body": "t"}'
    assert table_of(tmp_path, "a.jsonl", line, *columns).to_pylist() == [NONE | PAIR]
    for name in ("a.parquet", "a.data"):
        pq.write_table(pa.table({"Q": ["007"], "asked": ["q"], "D": ["1.0"], "body": ["t"], "n": [1]}), tmp_path / name)
        content = (tmp_path / name).read_bytes()
        assert table_of(tmp_path, name, content, *columns).to_pylist() == [PAIR]


@pytest.mark.parametrize("kind", [pa.list_, pa.large_list])
def test_fields_of_candidates_in_parquet_are_renamed_where_lists_are_null_too(kind: Any, tmp_path: Path) -> None:
    entry = pa.struct([("pid", pa.int64()), ("body", pa.string()), ("s", pa.null())])
    lists = pa.array([[{"pid": 1, "body": "t"}, None], None, [{"pid": 2, "body": "u"}]], kind(entry))
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"qid": [1, 2, 3], "query": ["a", "b", "c"], "hits": lists}), path)
    columns = ("query_id=qid", "candidates=hits", "doc_id=pid", "text=body", "score=s")
    table = table_of(tmp_path, "in.parquet", path.read_bytes(), *columns)
    assert table.to_pylist() == [
        {"query_id": 1, "query": "a", "candidates": [{"doc_id": 1, "text": "t", "score": None}, None]},
        {"query_id": 2, "query": "b", "candidates": None},
        {"query_id": 3, "query": "c", "candidates": [{"doc_id": 2, "text": "u", "score": None}]},
    ]


def test_parquet_in_the_job_s_own_names_is_read_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"qid": [1]}), path)
    assert convert(str(path), str(tmp_path / "out"), ColumnNames()) == str(path)
    assert not (tmp_path / "out").exists()


HEADER = b"qid,query,pid,text,score\n"


@pytest.mark.parametrize(
    ("name", "content", "columns", "said"),
    [
        ("a.csv", b"", (), "a.csv: no line in it; give a header and rows"),
        (
            "a.csv",
            b"a,b\n1,2\n",
            (),
            "a.csv: its first line, between commas, is neither a header with the columns query_id, ",
        ),
        (
            "a.csv",
            b"qid,query,pid,body\n",
            (),
            "a.csv: no column text or passage; it has qid, query, pid, body; name it",
        ),
        ("d.jsonl", b'{"_id": "1", "text": "t"}', (), f"query_id=COLUMN, {CANDIDATES} --queries FILE`"),
        ("a.csv", HEADER + b"1,q,d,t\n", (), "Row #2: Expected 5 columns, got 4: 1,q,d,t); fix the line"),
        ("a.csv", HEADER + b"1,q,d,t,x\n", (), "Row #2: CSV conversion error to double: invalid value 'x'); fix the"),
        ("a.csv", HEADER + b'1,q,d,t,1\n1,q,e,"t,2\n1,q,f,t,3\n', (), "a.csv: cannot be read (CSV parse error: Row #3"),
        (
            "a.csv",
            b'qid,query,pid,text\n1,q,d,t\n1,q,e,"t\n1,q,f,t\n',
            (),
            "a.csv: its last row opens a quote that is never closed; close it",
        ),
        (
            "a.csv",
            b'qid,query,pid,text\n1,q,e,"' + b"t\n" * (4 << 20),
            (),
            "a.csv: a row of more than 4 MiB, or a quote that is never closed; fix it",
        ),
        ("a.csv", b'1,d,q,"t\xff\n', (), "a.csv: its last row opens a quote that is never closed; close it"),
        ("a.csv", b"qid;query;pid;text\n", (), "'qid;query;pid;text'; ';' seems to stand between its columns: write"),
        ("a.tsv", b"qid,query,pid,text\n", (), "'qid,query,pid,text'; ',' seems to stand between its columns: write"),
        ("a.csv", "qid,query".encode("utf-16"), (), "a.csv: is UTF-16, not UTF-8; convert the file"),
        ("a.jsonl", '{"qid": 1}'.encode("utf-16"), (), "a.jsonl: is UTF-16, not UTF-8; convert the file"),
        ("a.csv", b"qid,query,pid,text,text\n", (), "a.csv: column 'text' appears twice; leave one"),
        ("a.csv", HEADER, ("title=head",), "no column 'head' (--columns); it has qid, query, pid, text, score"),
        ("a.jsonl", b"", (), "a.jsonl: no line in it; give one object a line"),
        ("a.jsonl", b'{"qid": [1], "query": "q", "pid": 1, "text": "t"}', (), "line 1: qid is '[1]', not text; fix"),
        ("a.jsonl", b'{"qid": 1, "query": "q", "candidates": ["t"]}', (), "line 1: a candidate is 't' and no object;"),
        ("a.jsonl", b'{"qid": 1, "query": "q", "candidates": 5}', (), "line 1: candidates is no list; fix the line"),
        ("a.jsonl", b'{"qid": 1, "query": "q", "pid": 1, "text": "t", "rank": 1.5}', (), "not a whole number; fix"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    name: str, content: bytes, columns: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    assert said in error_of(tmp_path, name, content, *columns)
    assert not [*tmp_path.glob("out/*")], "nothing is left of it"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_column_to_keep_that_is_not_there_is_one_line(name: str, tmp_path: Path) -> None:
    content = HEADER if name == "a.csv" else b'{"qid": 1, "query": "q", "pid": 1, "text": "t"}'
    assert ": no column 'lang' to keep; it has qid, query, pid, text" in error_of(
        tmp_path, name, content, keep=("lang",)
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["doc_id"], "--columns doc_id: give FIELD=COLUMN, such as doc_id=pid"),
        (["docid=pid"], "--columns docid=pid: 'docid' is no field; fields are query_id, query, doc_id, text, title, "),
        (["text=a", "text=b"], "--columns text=b: 'text' appears twice; fields are "),
    ],
)
def test_columns_that_cannot_be_are_one_line(words: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        parse_columns(words, ACCEPTED)
    assert str(error.value).startswith(said)
