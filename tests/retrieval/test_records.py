from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest

from tests.support import copies
from transforms.base.errors import UserError
from transforms.retrieval import records
from transforms.retrieval.records import Document, Judgement, Question

ROWS: list[dict[str, Any]] = [
    {"_id": 4983, "title": "T", "text": "a"},
    {"_id": "<dbpedia:X>", "title": None, "text": ""},
]
READ = [Document("4983", "T", "a"), Document("<dbpedia:X>", None, "")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("corpus.jsonl", copies.lines(ROWS)),
        ("corpus.jsonl.gz", gzip.compress(copies.lines(ROWS), mtime=0)),
        ("corpus.parquet", copies.parquet([{**row, "_id": str(row["_id"])} for row in ROWS])),
    ],
)
def test_documents_in_each_format(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert list(records.documents(str(tmp_path / name))) == READ


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"1\ta b\n\n2\tc\n", [Document("1", None, "a b"), Document("2", None, "c")]),
        (b"1\tT\ta\r\n", [Document("1", "T", "a")]),
        (b"\xef\xbb\xbfid\ttext\ttitle\n1\ta\tT\n", [Document("1", "T", "a")]),
        (b"docno\ttext\r\n1\ta\r\n", [Document("1", None, "a")]),
        (b"docno\ttitle\ttext\n1\tT\ta\n", [Document("1", "T", "a")]),
        (b"Title\tPID\tPassage\nT\t1\ta\n", [Document("1", "T", "a")]),
        (b'docno\ttext\n1\t"a\n', [Document("1", None, '"a')]),
    ],
)
def test_documents_in_tsv(tmp_path: Path, content: bytes, expected: list[Document]) -> None:
    path = tmp_path / "corpus.tsv"
    path.write_bytes(content)
    assert list(records.documents(str(path))) == expected


def test_a_document_without_a_text_is_distinguished(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(copies.lines([{"docid": "2#0", "text": None}]))
    assert list(records.documents(str(path))) == [Document("2#0", None, None)]


@pytest.mark.parametrize(
    "content",
    [
        b"query-id\tcorpus-id\tscore\n1\td 1\t2\n1\td2\t0\n",  # BEIR
        b"1\td 1\t2\n1\td2\t0\n",
        b"1\tQ0\td 1\t2\n1\tQ0\td2\t0\n",  # TREC between tabs
    ],
)
def test_judgements(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "qrels.tsv"
    path.write_bytes(content)
    assert list(records.judgements(str(path))) == [Judgement("1", "d 1", 2), Judgement("1", "d2", 0)]


def test_judgements_between_blanks(tmp_path: Path) -> None:
    path = tmp_path / "qrels.txt"
    path.write_text("1 0 d1 1\n2 0   d2 0\n")
    assert list(records.judgements(str(path))) == [Judgement("1", "d1", 1), Judgement("2", "d2", 0)]


def test_an_unpaired_surrogate_in_a_text_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'{"_id": "1", "text": "a\\ud800b \\ud83d\\ude00"}\n')
    assert list(records.documents(str(path))) == [Document("1", None, "a\ufffdb \U0001f600")]


@pytest.mark.parametrize("numbered", [False, True])
def test_questions_with_short_answers(tmp_path: Path, numbered: bool) -> None:
    rows = copies.mkqa(numbered)
    path = tmp_path / ("mkqa.parquet" if numbered else "mkqa.jsonl")
    path.write_bytes(copies.parquet(rows) if numbered else copies.lines(rows))
    assert list(records.questions(str(path), "de")) == [
        Question("31", "Regisseur von Gladiator", ["Ridley Scott", "Sir Ridley Scott"]),
        Question("32", "Jahr von Gladiator", ["2000", "Y2K"]),
    ]


def test_real_questions(fixtures: Path) -> None:
    questions = list(records.questions(str(fixtures / "data/mkqa/test_mkqa.jsonl.gz"), "de"))
    assert [question.query_id for question in questions] == [
        "36228854473990432",
        "-7449157003522518870",
        "7631360939705650347",
    ]
    assert questions[2].query.startswith("Wer war der Regisseur des Films Gladiator")
    assert questions[2].answers == ["Ridley Scott", "Sir Ridley Scott"]


@pytest.mark.parametrize(
    ("read", "name", "content", "said"),
    [
        (records.documents, "c.jsonl", b'{"_id": "1"\n', ": line 1: no JSON ("),
        (records.documents, "c.jsonl", b"[" * 100_000, ": line 1: no JSON ("),
        (records.documents, "c.jsonl", b"[]\n", ": line 1: a JSON list, and no object; give one object a line"),
        (records.documents, "c.jsonl", b'{"text": "a"}\n', ": line 1: a document has no _id or doc_id or "),
        (records.documents, "c.jsonl", b'{"_id": " ", "text": "a"}\n', ": line 1: the id ' ' is not valid; "),
        (records.documents, "c.jsonl", b'{"_id": true, "text": "a"}\n', ": line 1: the id True is not valid; "),
        (records.documents, "c.jsonl", b'{"_id": "1", "text": 3}\n', ": line 1: 3 is not text; fix the file"),
        (records.documents, "c.jsonl.gz", b"\x1f\x8b broken", ": cannot be read ("),
        (records.documents, "c.jsonl.gz", gzip.compress(b"{}" * 99, mtime=0)[:-9], ": cannot be read ("),
        (records.documents, "c.parquet", b"PAR1", ": cannot be read ("),
        (records.documents, "c.tsv", b"1\ta\n2\n", ": line 2: expected 2 columns between tabs, found 1; fix"),
        (records.documents, "c.tsv", b"a\n", ": line 1: expected 2 or 3 columns between tabs, found 1; fix"),
        (records.documents, "c.tsv", b"1\t\xff\n", ": line 1: not UTF-8; convert the file"),
        (records.queries, "q.jsonl", b'{"_id": "1", "text": null}\n', ": line 1: the query's text is null; fix"),
        (records.judgements, "q.tsv", b"1\td\t1_0\n", ": line 1: the grade '1_0' is not a whole number up to 1000; "),
        (
            records.judgements,
            "q.tsv",
            b"1\td\tx\n",
            ": line 1: the grade 'x' is not a whole number up to 1000; ",
        ),
        (
            records.judgements,
            "q.jsonl",
            b'{"qid": "1", "doc_id": "d", "grade": 0.7}\n',
            ": line 1: the grade 0.7 ",
        ),
        (records.documents, "c.jsonl", b'{"_id": "\\ud800", "text": "a"}\n', ": line 1: the id '\\ud800' is not valid"),
        (
            records.judgements,
            "q.jsonl",
            b'{"qid": "1", "doc_id": "a\\tb", "grade": 1}\n',
            ": line 1: the id 'a\\tb' has a tab or a line break, which qrels cannot hold; fix it",
        ),
        (records.judgements, "q.tsv", b"1\t2\n", ": line 1: expected 3 or 4 columns between tabs, found 2; fix"),
    ],
)
def test_mistakes(tmp_path: Path, read: Callable[[str], Any], name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        list(read(str(path)))
    assert str(refused.value).startswith(f"{path}{said}")
    assert "\n" not in str(refused.value)


def test_questions_of_another_format(tmp_path: Path) -> None:
    path = tmp_path / "mkqa.jsonl"
    path.write_bytes(b'{"example_id": 1, "answers": {"de": []}}\n')
    with pytest.raises(UserError, match=r": line 1: not in MKQA's format \('en'\); has the file changed\?$"):
        list(records.questions(str(path), "de"))


def test_judgements_that_csv_wrote_keep_ids_with_quotes(tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows: list[list[object]] = [["query-id", "corpus-id", "score"], ["q", '<dbpedia:"Heroes">', 1]]
        csv.writer(file, delimiter="\t").writerows(rows)
    assert '"<dbpedia:""Heroes"">"' in path.read_text(encoding="utf-8")
    assert list(records.judgements(str(path))) == [Judgement("q", '<dbpedia:"Heroes">', 1)]


@pytest.mark.parametrize("header", ["qid\tquery_text", "query_id\tquery", "qid\tquestion", "_id\ttext"])
def test_a_first_line_of_known_names_is_no_query(tmp_path: Path, header: str) -> None:
    path = tmp_path / "queries.tsv"
    path.write_text(f"{header}\n7\twhat is it?\n")
    assert list(records.queries(str(path))) == [("7", "what is it?")]


def test_a_query_of_a_known_word_is_no_header(tmp_path: Path) -> None:
    path = tmp_path / "queries.tsv"
    path.write_text("7\ttitle\n8\tscore\n9\tid\n")
    assert list(records.queries(str(path))) == [("7", "title"), ("8", "score"), ("9", "id")]


@pytest.mark.parametrize(
    ("read", "name", "header", "unknown"),
    [
        (records.documents, "c.tsv", "docno\tbody", "'body'"),
        (records.documents, "c.csv", "doc_id,text,lang,year", "'lang', 'year'"),
        (records.documents, "c.csv", ",doc_id,text", "''"),  # pandas, with its index
        (records.queries, "q.tsv", "qid\tBody", "'Body'"),
        (records.judgements, "q.tsv", "query-id\tcorpus-id\tgain", "'gain'"),
    ],
)
def test_a_header_with_unknown_names_is_one_line(
    tmp_path: Path, read: Callable[[str], Any], name: str, header: str, unknown: str
) -> None:
    path = tmp_path / name
    path.write_text(f"{header}\n1\t2\t3\n")
    with pytest.raises(UserError) as refused:
        list(read(str(path)))
    message = (
        f"{path}: line 1: a header that names {unknown}, which is no known column; rename it, leave it out, or give "
        "--columns ("
    )
    assert str(refused.value).startswith(message)


TEXTS = ['a, "quoted"', "two\r\nlines", "", "é" * 100_000, "tab\there"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_csv_is_read_as_pandas_writes_it(
    tmp_path: Path, encoding: str, end: str, pack: Callable[[bytes], bytes]
) -> None:
    frame = pandas.DataFrame({"docno": [f"d{i}" for i in range(5)], "title": "T", "text": TEXTS})
    path = tmp_path / "corpus.csv"
    path.write_bytes(pack(frame.to_csv(index=False, lineterminator=end).encode(encoding)))
    assert list(records.documents(str(path))) == [Document(f"d{i}", "T", text) for i, text in enumerate(TEXTS)]


def test_csv_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "queries.csv"
    path.write_text('1,"what, then?"\n\n2,b\n')
    assert list(records.queries(str(path))) == [("1", "what, then?"), ("2", "b")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"docno,text\n1,a\n2\n", ": line 3: expected 2 columns between commas, found 1; fix the line"),
        (
            b"docno;text\n",
            ": line 1: expected 2 or 3 columns between commas, found 1; ';' seems to stand between",
        ),
        (b"docno,text\n1,a\nb; c; d\n", ": line 3: expected 2 columns between commas, found 1; fix the line"),
        (b"docno,text\n1,\xff\n", ": not UTF-8; convert the file"),
        ("docno,text\n".encode("utf-16"), ": is UTF-16, not UTF-8; convert the file"),
        (b'docno,text\n1,"a" b\n', ": line 2: not CSV ("),
        (b'docno,text\n1,"a\n', ": line 2: not CSV ("),
        (gzip.compress(b"docno,text\n" * 99, mtime=0)[:-9], ": cannot be read ("),
    ],
)
def test_mistakes_in_csv(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        list(records.documents(str(path)))
    assert str(refused.value).startswith(f"{path}{said}")


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.tsv"])
def test_marks_of_windows_and_packing_are_known_by_their_bytes(tmp_path: Path, name: str) -> None:
    row = '{"docno": "1", "text": "a"}' if name == "corpus.jsonl" else "1\ta"
    path = tmp_path / name
    for content in (f"\ufeff{row}\r\n\r\n".encode(), gzip.compress(f"\ufeff{row}\r\n".encode())):
        path.write_bytes(content)
        assert list(records.documents(str(path))) == [Document("1", None, "a")]


NAMED = {"doc_id": "Key", "text": "body", "title": "head", "query_id": "Key", "query": "asked"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", b"Key,body,head,text,lang\n007,a,T,x,en\n"),
        ("c.tsv", b"key\thead\tbody\tlang\n007\tT\ta\ten\n"),
        ("c.jsonl", b'{"Key": "007", "body": "a", "head": "T", "doc_id": "x"}\n'),
        ("c.parquet", copies.parquet([{"Key": "007", "body": "a", "head": "T", "_id": "x"}])),
    ],
)
def test_documents_under_the_names_that_are_given(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert list(records.documents(str(tmp_path / name), NAMED)) == [Document("007", "T", "a")]


def test_queries_and_judgements_under_the_names_that_are_given(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"Key,asked\n1,what?\n")
    assert list(records.queries(str(path), NAMED)) == [("1", "what?")]
    path.write_bytes(b"Key,pid,level\n1,d,2\n")
    columns = {"query_id": "Key", "doc_id": "other", "grade": "level"}
    assert list(records.judgements(str(path), columns)) == [Judgement("1", "d", 2)]


@pytest.mark.parametrize("field", ["doc_id", "text", "title"])
def test_a_name_that_is_given_and_not_there_is_one_line(field: str, tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'{"_id": "1", "text": "a", "title": "T"}\n')
    with pytest.raises(UserError) as error:
        list(records.documents(str(path), {field: "wrong"}))
    assert str(error.value) == (
        f"{path}: line 1: a document has no wrong, but _id, text, title; is this the right file? For a column of your "
        f"own files give --columns {field}=COLUMN"
    )
