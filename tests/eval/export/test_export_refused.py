"""Exports that are refused, and what is left where one fails."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from eval.__main__ import main
from eval.export.formats import FORMATS
from eval.export.options import NAMES
from tests.support import tiny
from tests.support.exports import export
from tests.support.full_disk import full_disk
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import rerank


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "trec", "--qrels", "{qrels}"], "--qrels: format trec has all documents of a list; leave it out"),
        (
            ["--format", "triplet", "--keep_id_types"],
            "--keep_id_types: format triplet has no ids, or has them as text;",
        ),
        (["--format", "tevatron", "--keep_id_types"], "--keep_id_types: format tevatron has no ids, or has them as"),
        (["--format", "triplet", "--range", "3:5"], "--range 3:5: leaves no room for 3 negatives; widen it"),
        (["--format", "triplet", "--max_score", "nan"], "argument --max_score: 'nan' is not a finite number"),
        (["--format", "triplet", "--max_score", "1e300"], "argument --max_score: '1e300' is not a finite number, as"),
        (["--format", "triplet", "--range", "5"], "argument --range: '5' is not MIN:MAX, such as 10:50 or 10:"),
    ],
)
def test_options_that_do_not_go_together(
    job: Path, tmp_path: Path, qrels: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [word.format(qrels=qrels) for word in words]
    assert main(["export", str(job), "--to", str(tmp_path / "to"), *filled]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not (tmp_path / "to").exists()


def test_directories_that_cannot_be_taken(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine").touch()
    (tmp_path / "empty").mkdir()
    for source, to, message in (
        (job, tmp_path / "to", f"--to {tmp_path / 'to'}: has mine in it; give a new or an empty directory, or"),
        (tmp_path / "empty", tmp_path / "new", f"{tmp_path / 'empty'}: no job.json in it; give the directory that"),
    ):
        assert main(["export", str(source), "--to", str(to), "--format", "trec"]) == 2
        assert capsys.readouterr().err.startswith(f"error: {message}")


def test_an_export_that_fails_leaves_nothing_of_itself(
    job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(job), "--to", str(tmp_path / "new" / "to"), "--format", "trec"]
    with full_disk(1000):  # the run is shorter, the card longer
        assert main(words) == 1
    assert "/to/README.md cannot be written: [Errno 27] File too large" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert main(words) == 0, "the same command continues"


def test_judgements_of_other_queries_are_refused(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "qrels").write_text("another 0 d1 1\n", encoding="utf-8")
    words = ["--to", str(tmp_path / "to"), "--format", "triplet", "--qrels", str(tmp_path / "qrels")]
    assert main(["export", str(job), *words]) == 2
    assert capsys.readouterr().err.startswith("error: --qrels: no query in common with the job's output; give the ")
    assert not (tmp_path / "to").exists()


def test_an_earlier_export_is_replaced_where_that_is_asked_for(
    job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = export(job, tmp_path / "to", "ids")
    assert main(["export", str(job), "--to", str(to), "--format", "trec"]) == 2
    export(job, to, "trec", "--overwrite")
    assert sorted(path.name for path in to.iterdir()) == ["README.md", "run.trec"]
    (to / "mine").touch()
    assert main(["export", str(job), "--to", str(to), "--format", "trec", "--overwrite"]) == 2
    assert capsys.readouterr().err.endswith("has mine in it, which no export wrote; give a new or an empty directory\n")
    assert (to / "run.trec").is_file()


def test_a_run_with_blanks_in_its_ids_is_refused(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "in.parquet", nested_table([query("q 1", [candidate("d1", "a")], "a")]))
    assert rerank(Path(source), tmp_path / "out", job.parent / "model") == 0
    assert main(["export", str(tmp_path / "out"), "--to", str(tmp_path / "to"), "--format", "trec"]) == 2
    assert capsys.readouterr().err.endswith(
        "error: query id 'q 1' has white space in it or is empty, which a TREC run cannot hold; change the id, or give "
        "another --format\n"
    )


@pytest.mark.parametrize("form", ["ids", "triplet", "trec"])
def test_an_earlier_export_stays_where_a_new_one_fails(tmp_path: Path, form: str) -> None:
    """Two lists with one id for two texts: none for the id layout, nor, with blanks in an id, a run."""
    lists = [query("q 1", [candidate("d1", "a")], "a"), query("q2", [candidate("d1", "b")], "b")]
    source = Path(write(tmp_path / "in.parquet", nested_table(lists)))
    assert rerank(source, tmp_path / "out", tiny.bert(tmp_path / "model")) == 0
    to = export(tmp_path / "out", tmp_path / "to", "labeled-list")
    before = {path.name: path.read_bytes() for path in to.iterdir()}
    if form == "triplet":
        source.unlink()
    words = ["export", str(tmp_path / "out"), "--to", str(to), "--format", form, "--overwrite"]
    assert main(words) == 2
    assert {path.name: path.read_bytes() for path in to.iterdir()} == before


def test_input_that_has_changed_is_refused(job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = [query("q1", [candidate("d1", "a")], "a")]
    source = Path(write(tmp_path / "in.parquet", nested_table(lists)))
    assert rerank(source, tmp_path / "out", job.parent / "model") == 0
    write(source, nested_table([query("q1", [candidate("d1", "b c")], "a")]))
    words = ["export", str(tmp_path / "out"), "--to", str(tmp_path / "to"), "--format"]
    assert main([*words, "triplet"]) == 2
    assert f"error: {source}: has changed since it was scored; put back" in capsys.readouterr().err
    assert main([*words, "trec"]) == 0  # which needs no text


def test_every_format_can_be_named() -> None:
    assert tuple(FORMATS) == NAMES


def test_no_list_of_a_missing_or_damaged_part_is_left_out_in_silence(
    job: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing, short, flipped = (Path(shutil.copytree(job, tmp_path / name)) for name in ("missing", "short", "flipped"))
    (missing / "scored" / "part-00000-00000-00000.parquet").unlink()
    part = short / "scored" / "part-00000-00001-00000.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    part = flipped / "scored" / "part-00000-00001-00000.parquet"
    chunk = next(chunk for chunk in _chunks(part) if chunk.path_in_schema == "score")
    content = bytearray(part.read_bytes())
    content[chunk.dictionary_page_offset + chunk.total_compressed_size - 2] ^= 0xFF
    part.write_bytes(content)
    gone = "parts of row group {} of input file 0 are missing; give the job's command again"
    for output, code, message in (
        (missing, 2, f"{missing}: {gone.format(0)}\n"),
        (short, 2, f"{short}: {gone.format(1)}\n"),
        (flipped, 1, f"{part} cannot be read: "),
    ):
        assert main(["export", str(output), "--to", str(tmp_path / "to"), "--format", "trec"]) == code
        assert f"error: {message}" in capsys.readouterr().err
        assert not (tmp_path / "to" / "run.trec").exists()


def _chunks(part: Path) -> list[Any]:
    """What a part's footer says of its columns."""
    row_group = pq.read_metadata(part).row_group(0)
    return [row_group.column(i) for i in range(row_group.num_columns)]


def test_what_a_killed_export_left_is_removed(job: Path, tmp_path: Path) -> None:
    """Where it was killed before anything else was there, the same command does all of it."""
    to = tmp_path / "to"
    to.mkdir()
    for name in (".train.parquet.0f3c.tmp", ".kept"):
        (to / name).touch()
    export(job, to, "triplet")
    assert sorted(path.name for path in to.iterdir()) == [".kept", "README.md", "train.parquet"]
