"""The whole job, from files to files."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.__main__ import main as evaluate
from eval.ranking.runs import open_source
from tests.support.input_files import candidate, flat_table, nested_table, pair, query, write
from tests.support.job_run import letters, parts, reasons, report, rerank, rows, scores, write_letters
from transforms.schema import BEST_WINDOW, SCORED
from transforms.scoring import Reranker


def test_an_interrupted_job_does_what_is_missing_and_nothing_else(tmp_path: Path, model: Path) -> None:
    source = write_letters(tmp_path / "in.parquet", queries=8, candidates=5)
    assert rerank(source, tmp_path / "out", model) == 0
    before = parts(tmp_path / "out")
    assert len(before) == 4
    part = tmp_path / "out" / "scored" / "part-00000-00000-00000.parquet"
    (tmp_path / "out" / "scored" / "part-00000-00002-00000.parquet").unlink()
    (tmp_path / "out" / "_SUCCESS").unlink()
    written_at = part.stat().st_mtime_ns
    assert rerank(source, tmp_path / "out", model) == 0
    assert parts(tmp_path / "out") == before
    assert part.stat().st_mtime_ns == written_at
    assert report(tmp_path / "out")["last_run"]["shards"] == 1


def test_slices_of_one_row_group_are_resumed_each(tmp_path: Path, model: Path) -> None:
    source = write_letters(tmp_path / "in.parquet", queries=6, candidates=5, row_group_size=6)
    assert rerank(source, tmp_path / "out", model, "--shard_pairs", "10") == 0
    before = parts(tmp_path / "out")
    assert sorted(before) == [f"scored/part-00000-00000-0000{i}.parquet" for i in range(3)]
    (tmp_path / "out" / "scored" / "part-00000-00000-00001.parquet").unlink()
    assert rerank(source, tmp_path / "out", model, "--shard_pairs", "10") == 0
    assert parts(tmp_path / "out") == before


def test_flat_input_gives_what_nested_input_gives(tmp_path: Path, model: Path) -> None:
    nested = letters(queries=6, candidates=5)
    pairs = [
        pair(row["query_id"], listed["doc_id"], listed["text"], query=row["query"])
        for row in nested.to_pylist()
        for listed in row["candidates"]
    ]
    scattered = [pairs[i] for i in range(0, 30, 2)] + [pairs[i] for i in range(1, 30, 2)]
    source = Path(write(tmp_path / "nested.parquet", nested))
    flat = Path(write(tmp_path / "flat.parquet", flat_table(pairs), row_group_size=7))
    mixed = Path(write(tmp_path / "scattered.parquet", flat_table(scattered), row_group_size=7))
    for name, path in (("a", source), ("b", flat), ("c", mixed)):
        assert rerank(path, tmp_path / name, model) == 0
    expected = scores(tmp_path / "a")
    assert len(expected) == 30
    assert scores(tmp_path / "b") == pytest.approx(expected, abs=1e-5)
    assert scores(tmp_path / "c") == pytest.approx(expected, abs=1e-5)
    assert rerank(mixed, tmp_path / "c", model) == 0, "a resume finds what was regrouped"


def test_bad_rows_are_set_aside_with_their_reasons(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = nested_table(
        [
            query("a", [candidate("1"), candidate("1", "x"), candidate(None), candidate("2", None), candidate(" ")]),
            query(None, [candidate("1"), candidate("2")]),
            query("", [candidate("1")]),
            query("a", [candidate("1"), candidate("2"), candidate("3")]),
            query("b", None),
            query("c", []),
            query("d", [candidate("1", "", score=math.nan), candidate("2", "b")], ""),
            query("e", [candidate("1")], None),
        ]
    )
    source = Path(write(tmp_path / "in.parquet", table))
    assert rerank(source, tmp_path / "out", model) == 0
    assert set(scores(tmp_path / "out")) == {("a", "1"), ("d", "1"), ("d", "2")}
    assert reasons(tmp_path / "out") == [
        ("", None, 1, "blank_query_id"),
        ("a", " ", None, "blank_doc_id"),
        ("a", "1", None, "duplicate_doc_id"),
        ("a", "2", None, "null_text"),
        ("a", None, 3, "duplicate_query_id"),
        ("a", None, None, "null_doc_id"),
        ("b", None, 0, "null_candidates"),
        ("e", None, 1, "null_query"),
        (None, None, 2, "null_query_id"),
    ]
    counted = report(tmp_path / "out")
    assert counted["pairs"] | {"windowed": 0, "truncated": 0} == {
        "total": 14,
        "scored": 3,
        "rejected": 11,
        "empty_text": 1,
        "nan_first_stage_score": 1,
        "truncated": 0,
        "windowed": 0,
    }
    assert counted["queries"]["without_candidates"] == 1
    capsys.readouterr()
    assert rerank(source, tmp_path / "strict", model, "--max_rejected", "0.5") == 1
    assert not (tmp_path / "strict" / "_SUCCESS").exists()
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: 78.57% of the pairs were rejected, --max_rejected allows 50.00%; no _SUCCESS is written"
    )


def test_another_jobs_output_is_refused_with_what_differs(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_letters(tmp_path / "in.parquet", queries=2, candidates=3)
    out = tmp_path / "out"
    assert rerank(source, out, model, "--max_length", "24") == 0
    before = parts(out)
    capsys.readouterr()
    assert rerank(source, out, model, "--max_length", "16") == 2
    assert capsys.readouterr().err == (
        f"error: output {out} is another job's: settings.max_length: 24 there, 16 here; "
        "give another --output, or delete what is there (--overwrite)\n"
    )
    assert parts(out) == before
    assert rerank(source, out, model, "--max_length", "16", "--overwrite") == 0
    assert json.loads((out / "job.json").read_text())["model"]["settings"]["max_length"] == 16


def test_added_files_are_named_and_scored_when_asked_to(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    write_letters(folder / "b.parquet", queries=2, candidates=3)
    assert rerank(folder, out, model) == 0
    before = parts(out)
    write_letters(folder / "a.parquet", queries=2, candidates=3, first=1)  # q1 is in both files
    capsys.readouterr()
    assert rerank(folder, out, model) == 2
    assert f"1 input file is new ({folder / 'a.parquet'}); give --extend" in capsys.readouterr().err
    assert rerank(folder, out, model, "--extend") == 0
    assert before.items() <= parts(out).items(), "what was done before stays as it was"
    assert {query_id for query_id, _ in scores(out)} == {"q0", "q1", "q2"}
    assert reasons(out) == [("q1", None, 3, "duplicate_query_id")]


def test_shards_with_rejected_pairs_are_done_again_when_asked_to(tmp_path: Path, model: Path) -> None:
    table = nested_table([query("a", [candidate("1"), candidate(None)]), query("b", [candidate("1")])])
    source = Path(write(tmp_path / "in.parquet", table, row_group_size=1))
    assert rerank(source, tmp_path / "out", model) == 0
    before = parts(tmp_path / "out")
    assert rerank(source, tmp_path / "out", model, "--retry_rejected", "null_doc_id") == 0
    assert report(tmp_path / "out")["last_run"]["shards"] == 1
    assert parts(tmp_path / "out") == before


def test_what_is_kept_cut_and_written_beside(tmp_path: Path, model: Path) -> None:
    table = nested_table(
        [query("a", [candidate("1", "b", title="a", lang="de"), candidate("2", "c", title=None, lang="en")], shelf=7)],
        lang=pa.string(),
        shelf=pa.int64(),
    )
    source = Path(write(tmp_path / "in.parquet", table))
    options = ("--keep_columns", "shelf,lang", "--text_template", "{text} {title}", "--top_k", "1")
    run_file = tmp_path / "run.txt"
    assert rerank(source, tmp_path / "out", model, *options, "--run_file", str(run_file)) == 0
    (row,) = rows(tmp_path / "out")
    reranker = Reranker.load(str(model), dtype="float32")
    expected = dict(zip("12", reranker.score("query", ["b a", "c "]), strict=True))
    assert row["doc_id"] == max(expected, key=expected.__getitem__)
    assert row["score"] == pytest.approx(expected[row["doc_id"]], abs=1e-6)
    assert (row["shelf"], row["lang"]) == (7, {"1": "de", "2": "en"}[row["doc_id"]])
    query_id, q0, doc_id, rank, score, tag = run_file.read_text().split()
    assert (query_id, q0, doc_id, rank, tag) == ("a", "Q0", row["doc_id"], "1", "rerank")
    assert float(score) == pytest.approx(row["score"], rel=1e-8)
    assert open_source(str(run_file))


def test_a_dry_run_writes_nothing(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_letters(tmp_path / "in.parquet", queries=8, candidates=5)
    assert rerank(source, tmp_path / "out", model, "--dry_run", "--price_per_hour", "2") == 0
    assert not (tmp_path / "out").exists()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "input     8 rows, 40 pairs"
    assert [line.split()[0] for line in lines] == ["input", "sample", "speed", "job", "cost"]
    assert "40 pairs" in lines[1]


def test_empty_input_is_a_finished_job(tmp_path: Path, model: Path) -> None:
    source = Path(write(tmp_path / "in.parquet", nested_table([])))
    assert rerank(source, tmp_path / "out", model) == 0
    assert report(tmp_path / "out")["pairs"]["total"] == 0
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_a_resume_that_cannot_run_as_the_job_began_says_so(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_letters(tmp_path / "in.parquet", queries=4, candidates=3)
    out = tmp_path / "out"
    assert rerank(source, out, model, "--batch_tokens", "64") == 0
    shutil.rmtree(out / "scored")
    assert rerank(source, out, model) == 0, "the batch size is taken from job.json"
    content = json.loads((out / "job.json").read_text())
    assert content["execution"]["batch_tokens"] == 64
    assert content["versions"]["tokenising"] == f"tokenizers {content['versions']['tokenizers']}"
    capsys.readouterr()
    assert rerank(source, out, model, "--batch_tokens", "65") == 2
    assert capsys.readouterr().err == (
        f"error: output {out} was begun with batch_tokens 64, and 65 is asked for; "
        "leave --batch_tokens out to continue, or give another --output\n"
    )


def test_files_named_twice_are_all_read(tmp_path: Path, model: Path) -> None:
    first = write_letters(tmp_path / "a.parquet", queries=1, candidates=2)
    second = write_letters(tmp_path / "b.parquet", queries=1, candidates=2, first=1)
    assert rerank(first, tmp_path / "out", model, "--input", str(second)) == 0
    assert {query_id for query_id, _ in scores(tmp_path / "out")} == {"q0", "q1"}


def test_rejected_rows_that_were_lost_are_written_again(tmp_path: Path, model: Path) -> None:
    table = nested_table([query("a", [candidate("1"), candidate(None)])])
    source = Path(write(tmp_path / "in.parquet", table))
    assert rerank(source, tmp_path / "out", model) == 0
    before = parts(tmp_path / "out")
    next((tmp_path / "out" / "rejected").glob("*.parquet")).unlink()
    assert rerank(source, tmp_path / "out", model) == 0
    assert parts(tmp_path / "out") == before


def test_success_does_not_outlive_a_stricter_bound(tmp_path: Path, model: Path) -> None:
    source = Path(write(tmp_path / "in.parquet", nested_table([query("a", [candidate("1"), candidate(None)])])))
    assert rerank(source, tmp_path / "out", model) == 0
    assert rerank(source, tmp_path / "out", model, "--max_rejected", "0.1") == 1
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def test_a_damaged_plan_is_made_anew(tmp_path: Path, model: Path) -> None:
    source = write_letters(tmp_path / "in.parquet", queries=2, candidates=2)
    assert rerank(source, tmp_path / "out", model) == 0
    before = parts(tmp_path / "out")
    (tmp_path / "out" / "_plan.parquet").write_bytes(b"junk")
    (tmp_path / "out" / "scored" / "part-00000-00000-00000.parquet").unlink()
    assert rerank(source, tmp_path / "out", model) == 0
    assert parts(tmp_path / "out") == before


def test_a_dry_run_of_scattered_and_empty_files(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scattered = flat_table([pair("a", "1", "a"), pair("b", "1", "b"), pair("a", "2", "c")])
    files = [
        Path(write(tmp_path / "a.parquet", scattered)),
        Path(write(tmp_path / "b.parquet", flat_table([]))),
    ]
    assert rerank(files, tmp_path / "out", model, "--dry_run") == 0
    assert capsys.readouterr().out.startswith("input     3 rows, 3 pairs\n")


def test_a_document_of_too_many_windows_has_no_made_up_count(tmp_path: Path, model: Path) -> None:
    long = "a " * 250_000
    table = nested_table([query("q", [candidate("long", long), candidate("short", "b")], "a b c d")])
    source = Path(write(tmp_path / "in.parquet", table))
    options = ("--max_length", "16", "--long_documents", "window", "--max_query_length", "6")
    assert rerank(source, tmp_path / "out", model, *options) == 0
    assert [row["doc_id"] for row in rows(tmp_path / "out")] == ["short"]
    (lost,) = rows(tmp_path / "out", "rejected")
    assert (lost["doc_id"], lost["reason"]) == ("long", "too_long")


def test_best_windows_are_columns_of_a_job_that_asks_for_them(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also of a shard without any pair."""
    lists = [query("q", [candidate("a", "b " * 40), candidate("c", "d")]), query("none", [candidate("a", None)])]
    table = nested_table(lists).append_column("best_window", pa.array(["own", "own"]))
    source = Path(write(tmp_path / "in.parquet", table, row_group_size=1))
    options = ("--max_length", "24", "--long_documents", "window")
    assert rerank(source, tmp_path / "plain", model, *options) == 0
    assert rerank(source, tmp_path / "asked", model, *options, "--window_score", "max", "--keep_columns", "query") == 0
    plain, noted = rows(tmp_path / "plain"), rows(tmp_path / "asked")
    windows = {row["doc_id"]: (row["windows"], row.pop("best_window"), row.pop("best_window_token")) for row in noted}
    assert [row | {"query": None} for row in plain] == [row | {"query": None} for row in noted]
    assert windows["c"] == (1, 0, 0)
    count, best, token = windows["a"]
    assert 0 <= best < count
    assert (best == 0) == (token == 0)
    schemas = [pq.read_schema(path) for path in sorted((tmp_path / "asked" / "scored").iterdir())]
    assert len(schemas) == 2
    for schema in schemas:
        assert schema.remove_metadata() == pa.schema([*SCORED, *BEST_WINDOW, pa.field("query", pa.string())])
    taken = (*options, "--window_score", "mean", "--keep_columns", "best_window")
    assert rerank(source, tmp_path / "again", model, *taken) == 2
    assert capsys.readouterr().err.endswith(
        "error: --keep_columns best_window: --window_score gives the output such a column; leave it out\n"
    )


@pytest.mark.parametrize("flag", [(), ("--extend",), ("--overwrite",)])
def test_an_output_below_its_own_input_is_never_input(flag: tuple[str, ...], tmp_path: Path, model: Path) -> None:
    write_letters(tmp_path / "d/in/a.parquet", 2, 3)
    # Kept columns make the parts look like input.
    words = ("--keep_columns", "query,text")
    assert rerank(tmp_path / "d/**/*.parquet", tmp_path / "d/out", model, *words) == 0
    before = parts(tmp_path / "d/out")
    if flag == ("--extend",):
        write_letters(tmp_path / "d/in/b.parquet", 1, 3, first=7)
    (tmp_path / "link").symlink_to(tmp_path / "d/out")
    assert rerank(tmp_path / "d/**/*.parquet", tmp_path / "link", model, *words, *flag) == 0
    after = parts(tmp_path / "d/out")
    assert before.keys() <= after.keys()
    assert len(scores(tmp_path / "d/out")) == (9 if flag == ("--extend",) else 6)


def test_overwrite_through_a_link_deletes_no_input(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_letters(tmp_path / "first/scored/part-00000-00000-00000.parquet", 2, 3)
    (tmp_path / "first/job.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "first")
    (tmp_path / "second").mkdir()
    (tmp_path / "second/job.json").write_text("{}")
    (tmp_path / "second/scored").symlink_to(tmp_path / "first/scored")
    before = source.read_bytes()
    for output in (tmp_path / "link", tmp_path / "second"):
        assert rerank(source, output, model, "--overwrite") == 2
        message = f"error: input {source} lies in the job's own directory; give another --output\n"
        assert capsys.readouterr().err.endswith(message)
        assert source.read_bytes() == before


@pytest.mark.parametrize("more", [{}, {"score": 1.0}])
def test_lists_without_ranks_and_scores_are_measured_in_the_order_of_the_input(
    more: dict[str, float], tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = nested_table([query("q", [candidate(name, f"text {name}", **more) for name in "ab"], "text")])
    source = Path(write(tmp_path / "in.parquet", table))
    assert rerank(source, tmp_path / "out", model) == 0
    (tmp_path / "qrels").write_text("q 0 a 1\n")
    capsys.readouterr()
    assert evaluate(["measure", str(tmp_path / "out"), "--qrels", str(tmp_path / "qrels"), "--measures", "P@1"]) == 0
    heading, *_ = capsys.readouterr().out.splitlines()
    columns = ["first", "stage", "reranked", "difference"] if more else ["order", "of", "the", "input", "reranked"]
    assert heading.split() == ["measure", *columns]


def test_a_kept_column_of_lists_of_a_fixed_size_with_a_null_comes_back_whole(tmp_path: Path, model: Path) -> None:
    """pyarrow before 26 writes a part with such a column that it cannot read again, as the end of a job does."""
    values = [[1, 2], None, [3, 4]]
    table = flat_table([pair("q", str(number), f"text {number}") for number in range(3)])
    table = table.append_column("kept", pa.array(values, pa.list_(pa.int64(), 2)))
    source = Path(write(tmp_path / "in.parquet", table))
    assert rerank(source, tmp_path / "out", model, "--keep_columns", "kept") == 0
    assert {row["doc_id"]: row["kept"] for row in rows(tmp_path / "out")} == dict(zip("012", values, strict=True))
