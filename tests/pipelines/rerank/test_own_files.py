"""The reranking job on CSV, TSV and JSON lines, and on columns of other names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.input_files import flat_table, pair, write
from tests.support.job_run import parts, rerank, rows

PAIRS = [("01", "1", "b c"), ("01", "02", "d"), ("2", "03", "e"), ("2", "3", "a b")]
CSV = "qid,query,pid,text\n" + "".join(f"{query},query,{doc},{text}\n" for query, doc, text in PAIRS)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "pairs.csv"
    path.parent.mkdir()
    path.write_text(CSV, encoding="utf-8")
    return path


def jsonl(path: Path) -> Path:
    """The same pairs as lists."""
    by_query: dict[str, list[dict[str, str]]] = {}
    for query, doc, text in PAIRS:
        by_query.setdefault(query, []).append({"doc_id": doc, "text": text})
    lines = [
        json.dumps({"query_id": q, "query": "query", "candidates": documents}) for q, documents in by_query.items()
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_every_form_is_scored_like_parquet(csv: Path, tmp_path: Path, model: Path) -> None:
    wanted = Path(write(tmp_path / "p.parquet", flat_table([pair(*row) for row in PAIRS])))
    tsv = tmp_path / "top1000.dev"
    tsv.write_text("".join(f"{query}\t{doc}\tquery\t{text}\n" for query, doc, text in PAIRS), encoding="utf-8")
    results = []
    for number, path in enumerate((wanted, csv, tsv, jsonl(tmp_path / "lists.jsonl"))):
        out = tmp_path / f"out{number}"
        assert rerank(path, out, model) == 0
        results.append(rows(out))
    assert [(row["query_id"], row["doc_id"]) for row in results[0]].count(("01", "02")) == 1
    assert results == [results[0]] * 4


def test_what_is_read_is_said_once_and_the_same_command_continues(
    csv: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert rerank(csv, out, model) == 0
    assert f"read {csv}: 4 rows\n" in capsys.readouterr().err
    before = parts(out)
    [part] = out.glob("scored/*.parquet")
    part.unlink()
    assert rerank(csv, out, model) == 0
    assert "read" not in capsys.readouterr().err
    assert parts(out) == before
    moved = tmp_path / "moved"
    out.rename(moved)
    next(moved.glob("scored/*.parquet")).unlink()
    assert rerank(csv, moved, model) == 0
    assert parts(moved) == before
    [stored] = json.loads((moved / "job.json").read_text(encoding="utf-8"))["inputs"]
    assert stored["path"].startswith("_converted/pairs.csv-")
    shutil.rmtree(moved / "_converted")
    assert rerank(csv, moved, model) == 0, "it is converted anew to the same bytes"


def test_a_file_that_has_changed_is_refused(
    csv: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert rerank(csv, out, model) == 0
    csv.write_text(CSV + "3,query,4,f\n", encoding="utf-8")
    capsys.readouterr()
    assert rerank(csv, out, model) == 2
    assert capsys.readouterr().err == (
        f"error: {csv}: has changed since the job first read it; give it a new --output, or --overwrite\n"
    )
    (out / "_converted" / "mine.txt").touch()
    assert rerank(csv, out, model, "--overwrite") == 0
    assert len(rows(out)) == 5
    [of_job, mine] = sorted(path.name for path in out.glob("_converted/*"))[::-1]
    assert (of_job[:9], mine) == ("pairs.csv", "mine.txt"), "the old one is gone, and nothing else"


def test_what_a_refused_command_converted_is_not_converted_again(
    csv: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert rerank(csv, output, model, "--max_length", "100000") == 2
    assert f"read {csv}: 4 rows\n" in capsys.readouterr().err
    [converted] = output.glob("*/*")
    written = converted.stat().st_mtime_ns
    assert rerank(csv, output, model) == 0
    assert converted.stat().st_mtime_ns == written


def test_new_files_extend_a_job(csv: Path, tmp_path: Path, model: Path) -> None:
    out = tmp_path / "out"
    assert rerank(csv, out, model) == 0
    before = parts(out)
    more = csv.with_name("a.csv")
    more.write_text("qid,query,pid,text\n3,query,4,f\n", encoding="utf-8")
    assert rerank([csv, more], out, model, "--extend") == 0
    assert before.items() <= parts(out).items()
    assert len(rows(out)) == 5


def test_rejected_rows_name_the_user_s_file(csv: Path, tmp_path: Path, model: Path) -> None:
    content = CSV.encode() + b"3,query,5,\xff\n01,query,9,f\n"
    for number, text in enumerate((content, content.replace(b"01,query,9,f\n", b""))):  # the first is regrouped
        csv.write_bytes(text)
        out = tmp_path / f"out{number}"
        assert rerank(csv, out, model) == 0
        [row] = rows(out, "rejected")
        assert (row["reason"], row["source_file"], row["source_row"]) == ("invalid_utf8", str(csv), 4)


def test_files_that_do_not_go_together_are_named_as_the_user_named_them(
    csv: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nested = jsonl(tmp_path / "lists.jsonl")
    assert rerank([csv, nested], tmp_path / "out", model) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {nested} has one row per query and {csv} one row per pair; give files of one layout to a job"
    )
    csv.write_text("qid,query,pid,text,clicks\n1,query,2,a,3\n", encoding="utf-8")
    lines = tmp_path / "pairs.jsonl"
    lines.write_text('{"qid": 2, "query": "q", "pid": 1, "text": "b", "clicks": 4}\n', encoding="utf-8")
    assert rerank([csv, lines], tmp_path / "out", model, "--keep_columns", "clicks") == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: --keep_columns clicks: it is string in {csv} and int64 in {lines}; give it one type in all files"
    )
    csv.write_text("qid,query,pid,text,rank\n1,query,2,a,1.5\n", encoding="utf-8")
    assert rerank(csv, tmp_path / "new", model) == 2
    assert not (tmp_path / "new").exists()
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {csv}: ")


def test_a_dry_run_leaves_nothing(csv: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rerank(csv, tmp_path / "out", model, "--dry_run") == 0
    assert "4 pairs" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_gets_nothing(
    csv: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    assert rerank(csv, out, model) == 2
    assert "holds other things (notes.txt)" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def test_columns_are_a_part_of_the_job_where_they_are_given(
    csv: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nested = pa.table({"qid": ["1"], "query": ["a"], "hits": [[{"pid": "d", "body": "b c"}]]})
    source = Path(write(tmp_path / "n.parquet", nested))
    columns = "query_id=qid,candidates=hits,doc_id=pid,text=body"
    out = tmp_path / "out"
    assert rerank(source, out, model, "--columns", columns) == 0
    assert [(row["query_id"], row["doc_id"]) for row in rows(out)] == [("1", "d")]
    assert json.loads((out / "job.json").read_text(encoding="utf-8"))["options"]["columns"] == columns.split(",")
    assert rerank(source, out, model, "--columns", columns.replace("body", "bodies")) == 2
    assert "no column 'bodies' (--columns); it has pid, body" in capsys.readouterr().err
    assert rerank(csv, tmp_path / "plain", model) == 0
    assert "columns" not in json.loads((tmp_path / "plain" / "job.json").read_text(encoding="utf-8"))["options"]
    capsys.readouterr()
    assert rerank(csv, tmp_path / "plain", model, "--columns", "doc_id=pid") == 2
    assert 'columns: not set there, ["doc_id=pid"] here' in capsys.readouterr().err


def test_a_column_that_is_no_field_is_refused_at_once(
    csv: Path, tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rerank(csv, tmp_path / "out", model, "--columns", "docid=pid") == 2
    assert capsys.readouterr().err.startswith("error: --columns docid=pid: 'docid' is no field; fields are query_id, ")


def test_an_id_that_a_run_cannot_hold_is_reported_with_the_user_s_file(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("qid,query,pid,text\nq 1,a,d,b\n", encoding="utf-8")
    assert rerank(path, tmp_path / "out", model, "--run_file", str(tmp_path / "run")) == 2
    assert f"error: {path}: query id 'q 1' has white space in it" in capsys.readouterr().err
