from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from eval.ranking.qrels import Judgements, read_qrels
from tests.support.object_store import ObjectStore
from transforms.base.errors import UserError

FORMS = {
    "TREC": b"q1 0 a 1\nq1 0 b 0\nq2 Q0 a 2\n",
    "TREC between tabs": b"q1\t0\ta\t1\nq1\t0\tb\t0\nq2\tQ0\ta\t2\n",
    "TREC with odd spacing": b"q1  0\ta   1 \r\n\r\n q1 0 b 0\r\nq2 Q0 a 2",
    "BEIR": b"query-id\tcorpus-id\tscore\nq1\ta\t1\nq1\tb\t0\nq2\ta\t2\n",
    "BEIR without header": b"q1\ta\t1\nq1\tb\t0\nq2\ta\t2\n",
    "BEIR from Windows": b"\xef\xbb\xbfquery-id\tcorpus-id\tscore\r\nq1\ta\t1\r\nq1\tb\t0\r\nq2\ta\t2\r\n",
    "TREC from Windows": b"\xef\xbb\xbfq1 0 a 1\r\nq1 0 b 0\r\nq2 Q0 a 2\r\n",
}


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_every_form_reads_alike_whatever_the_file_is_called(
    tmp_path: Path, content: bytes, compress: type[bytes]
) -> None:
    path = tmp_path / "judgements"
    path.write_bytes(compress(content))
    assert read_qrels(str(path)) == Judgements({"q1": {"a": 1, "b": 0}, "q2": {"a": 2}}, repeated=0)


@pytest.mark.parametrize("line", ["a query\ta document\t1", "a query\t0\ta document\t1"])
def test_between_tabs_an_id_may_hold_spaces(tmp_path: Path, line: str) -> None:
    path = tmp_path / "qrels.tsv"
    path.write_text(line + "\n")
    assert read_qrels(str(path)).grades == {"a query": {"a document": 1}}


def test_only_ascii_space_separates_and_negative_grades_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "qrels"
    path.write_text("q\u00a01 0 d\u30001 -2\n", encoding="utf-8")
    assert read_qrels(str(path)).grades == {"q\u00a01": {"d\u30001": -2}}


def test_a_repeated_judgement_is_counted_and_a_contradictory_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "qrels"
    path.write_text("q 0 a 1\nq 0 b 0\nq 0 a 1\nq 0 a 1\n")
    assert read_qrels(str(path)) == Judgements({"q": {"a": 1, "b": 0}}, repeated=2)
    path.write_text("q 0 a 1\nq 0 b 0\nq 0 a 0\nq 0 b 2\n")
    with pytest.raises(UserError) as error:
        read_qrels(str(path))
    assert str(error.value) == (
        f"{path}: line 3: document 'a' of query 'q' has grade 0 here, 1 before; keep one of them (such lines: 2)"
    )


MALFORMED = {
    "too few fields": (b"q 0 a 1\nq 0 b\n", "line 2: expected 4 fields, 'query iteration document grade', found 3"),
    "too many fields": (b"q 0 a 1 0.5\n", "line 1: expected 4 fields"),
    "a space in an id": (b"q 0 an id 1\n", "line 1: expected 4 fields"),
    "a run": (b"q Q0 a 1 0.5 tag\n", "line 1: expected 4 fields, 'query iteration document grade', found 6"),
    "BEIR with a short line": (b"query-id\tcorpus-id\tscore\nq\ta\n", "line 2: expected 3 fields"),
    "an unknown header": (b"qid\tpid\tlabel\nq\ta\t1\n", "line 1: the grade 'label' is not a whole number"),
    "a grade in words": (b"q 0 a 1\n\nq 0 b yes\n", "line 3: the grade 'yes' is not a whole number"),
    "separators": (b"q 0 a 1_0\n", "line 1: the grade '1_0' is not a whole number"),
    "a fraction": (b"q 0 a 0.5\n", "line 1: the grade '0.5' is not a whole number"),
    "columns in another order": (b"q 0 1 8182161\n", "line 1: the grade 8182161 is beyond 1000"),
    "Latin-1": (b"q 0 caf\xe9 1\n", "line 1: not UTF-8"),
    "nothing": (b"", "no judgements in it"),
    "a header alone": (b"query-id\tcorpus-id\tscore\n", "no judgements in it"),
    "cut gzip": (gzip.compress(b"q 0 a 1\n" * 1000)[:30], "cannot be read"),
}


@pytest.mark.parametrize(("content", "message"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_files_are_one_line_that_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "qrels"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_qrels(str(path))
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_directory_are_one_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError, match="cannot be read") as error:
            read_qrels(str(path))
        assert str(error.value).startswith(f"{path}: ")
        assert "\n" not in str(error.value)


def test_an_address_is_read_through_its_filesystem_and_an_unknown_one_refused() -> None:
    ObjectStore.objects.clear()
    ObjectStore.objects |= {"mem://bucket/qrels": b"q 0 a 1\n", "mem://bucket/packed": gzip.compress(b"q 0 b 2\n")}
    assert read_qrels("mem://bucket/qrels").grades == {"q": {"a": 1}}
    assert read_qrels("mem://bucket/packed").grades == {"q": {"b": 2}}
    with pytest.raises(UserError, match=r"^mem://bucket/none: cannot be read \(.*\); check the path and the file$"):
        read_qrels("mem://bucket/none")
    with pytest.raises(UserError, match=r"^ftp://host/qrels: cannot be read \(Unable to get filesystem"):
        read_qrels("ftp://host/qrels")


def test_quotes_are_those_of_csv_after_the_header_of_beir_and_plain_elsewhere(tmp_path: Path) -> None:
    rows = [("query-id", "corpus-id", "score"), ("q1", '<dbpedia:"Heroes">', "1"), ("q1", "a", "0")]
    path = tmp_path / "qrels.tsv"
    with path.open("w", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows(rows)
    assert '"<dbpedia:""Heroes"">"' in path.read_text()
    assert read_qrels(str(path)).grades == {"q1": {'<dbpedia:"Heroes">': 1, "a": 0}}
    path.write_text('q1\t0\t"a"\t1\n')
    assert read_qrels(str(path)).grades == {"q1": {'"a"': 1}}
