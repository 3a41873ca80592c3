"""What a user who makes a mistake gets: one line, exit code 2, and nothing is lost or left behind."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.rerank.__main__ import main
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import RUNNER, parts, rerank, rows, write_letters
from transforms.job.lock import lock


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_letters(tmp_path_factory.mktemp("in") / "in.parquet", queries=2, candidates=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch_tokns", "3"], "--batch_tokns: neither this command nor Beam has such an option; did you mean"),
        (["--direct_num_workers=many"], "argument --direct_num_workers: invalid int value: 'many'; see --help"),
        (["--runner=DaskRunner"], "--runner DaskRunner loses data: it drops what a step emits when a bundle ends"),
        (["--runner=Runer"], "--runner Runer: "),
        (["--top_k", "0"], "argument --top_k: '0' is not a positive whole number; see --help"),
        (["--max_rejected", "2"], "argument --max_rejected: '2' is not between 0 and 1; see --help"),
        (["--dtype", "int4"], "argument --dtype: invalid choice: 'int4'"),
        (["--device", "tpu"], "--device tpu: give auto, cpu, cuda or cuda:N"),
        (["--max_length", "4096"], "--max_length 4096: "),
        (["--group_size", "64"], "--group_size: does not apply to this model, a cross-encoder; leave it out"),
        (["--candidate_order", "worst_first"], "--candidate_order worst_first: "),
        (["--candidate_order", "best"], "--candidate_order best: give given, best_first, worst_first or random:SEED"),
        (["--text_template", "{body}"], "--text_template '{body}': {body} is not a field of a document"),
        (["--keep_columns", "lang"], "/"),  # the file is named first
        (["--model_like", "no/such"], "--model_like no/such: not in the catalogue"),
        (["--revision", "main"], "--revision main applies to a model on the hub"),
        (["--retry_rejected", "bad_luck"], "argument --retry_rejected: invalid choice: 'bad_luck'"),
        (["--input", ""], "argument --input: it is empty; see --help"),
        (
            ["--run_file", "."],
            "--run_file .: it is a directory, a device, an input or the job's own; give the name of a new file",
        ),
        (["--input", "missing-*.parquet"], "input 'missing-*.parquet' matches no file"),
        (["--run_file", "/dev/null/run.txt"], "--run_file /dev/null/run.txt: /dev/null is not a directory that can be"),
        (["--run_file", "foo://bucket/run.txt"], "foo://bucket/run.txt: Unable to get filesystem from specified path"),
        (["--output", "foo://bucket/out"], "foo://bucket/out: Unable to get filesystem from specified path"),
        (["--direct_num_workers=-3"], "--direct_num_workers -3: give a number of processes, or 0 for as many as cores"),
        (["--resource_hints=foo=1"], "--resource_hints: Unknown resource hint: foo."),
        (["--resource_hints=min_ram=abc"], "--resource_hints: "),
        (["--model", "no-such-model"], "model no-such-model: "),
        (["--model", "http://user:secret@localhost/rerank"], ""),
    ],
)
def test_mistakes_are_reported_in_one_line_before_anything_is_done(
    options: list[str],
    message: str,
    source: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--input", str(source), "--output", str(tmp_path / "out"), "--model", str(model)]
    runner = [] if any(option.startswith("--runner") for option in options) else [RUNNER]
    assert main([*words, *runner, *options]) == 2
    output = capsys.readouterr()
    assert output.err.startswith(f"error: {message}")
    assert output.err.count("\n") == 1
    assert "secret" not in output.err
    assert not (tmp_path / "out").exists()


def test_an_output_whose_name_is_too_long(
    source: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / ("o" * 300)
    assert rerank(source, out, model) == 2
    reason = f"[Errno 36] File name too long: '{out}'"
    assert capsys.readouterr().err == f"error: output {out} cannot be listed: {reason}\n"


@pytest.mark.parametrize("name", ["o\udcff", "o\no"])  # a byte that is not UTF-8, as Python has it
def test_an_output_whose_name_is_no_line_of_text(
    name: str, source: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rerank(source, tmp_path / name, model) == 2
    line = f"error: output {str(tmp_path / name)!r}: its name cannot be written down; give another\n"
    assert capsys.readouterr().err == line
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pa.table({"query_id": ["a"], "query": ["b"]}), "candidates"),
        (pa.table({"query_id": [1.5], "query": ["b"], "doc_id": ["c"], "text": ["d"]}), "query_id"),
        (pa.table({"query_id": ["a"], "query": [True], "doc_id": ["c"], "text": ["d"]}), "query"),
    ],
)
def test_input_of_another_form_is_named_with_its_column(
    table: pa.Table, message: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(write(tmp_path / "in.parquet", table))
    assert rerank(path, tmp_path / "out", model) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert str(path) in line
    assert message in line


def test_a_file_that_is_not_parquet(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in.parquet"
    path.write_text("query_id,query\n")
    assert rerank(path, tmp_path / "out", model) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}")


def test_other_things_in_the_output_are_left_alone(
    source: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert rerank(source, tmp_path, model, "--overwrite") == 2
    assert "holds other things (thesis.txt)" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_output_is_looked_at_before_a_model_is_loaded_for_its_batch_size(
    source: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> NoReturn:
        raise AssertionError("loaded")

    monkeypatch.setattr("transforms.scoring.reranker.Specification.with_best_batch", load)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("years of work")
    assert rerank(source, tmp_path / "other", model) == 2
    (tmp_path / "parts" / "scored").mkdir(parents=True)
    (tmp_path / "parts" / "scored" / "part-00000-00000-00000.parquet").touch()
    assert rerank(source, tmp_path / "parts", model) == 2
    with lock(str(tmp_path / "used")):
        assert rerank(source, tmp_path / "used", model) == 2


def test_a_damaged_row_group_costs_no_other(model: Path, tmp_path: Path) -> None:
    """The bytes of the second of three row groups are overwritten; the first and the third are scored."""
    rows_ = [query(f"q{i}", [candidate(f"d{j}", "a b c") for j in range(4)], "a") for i in range(3)]
    path = Path(write(tmp_path / "in.parquet", nested_table(rows_), row_group_size=1, compression="zstd"))
    start = _row_group_start(path, 1)
    content = bytearray(path.read_bytes())
    content[start : start + 200] = b"\xff" * 200
    path.write_bytes(content)
    assert rerank(path, tmp_path / "out", model) == 0
    assert {row["query_id"] for row in rows(tmp_path / "out")} == {"q0", "q2"}
    (lost,) = rows(tmp_path / "out", "rejected")
    assert (lost["reason"], lost["n_candidates"], lost["source_file"], lost["source_row"]) == (
        "unreadable",
        4,
        str(path),
        1,
    )


def _row_group_start(path: Path, index: int) -> int:

    column = pq.read_metadata(path).row_group(index).column(0)
    return int(column.dictionary_page_offset or column.data_page_offset)


def test_a_damaged_job_is_told_and_a_damaged_part_is_done_again(
    source: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert rerank(source, out, model) == 0
    before = parts(out)
    part = next((out / "scored").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:100])
    assert rerank(source, out, model) == 0
    assert parts(out) == before
    content = json.loads((out / "job.json").read_text())
    (out / "job.json").write_text(json.dumps(content)[:50])
    capsys.readouterr()
    assert rerank(source, out, model) == 2
    assert capsys.readouterr().err == (
        f"error: {out / 'job.json'} is damaged; give --overwrite to begin again, or another --output\n"
    )


def test_a_run_file_takes_the_place_of_no_input_and_nothing_of_the_job(
    source: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = source.read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    (tmp_path / "in.txt").symlink_to(source)
    os.mkfifo(tmp_path / "pipe")
    own = (tmp_path / "out" / "job.json", tmp_path / "link" / "job.json")
    for run_file in (source, tmp_path / "in.txt", tmp_path / "pipe", *own):
        assert rerank(source, tmp_path / "out", model, "--run_file", str(run_file)) == 2
        assert capsys.readouterr().err.startswith(
            f"error: --run_file {run_file}: it is a directory, a device, an input or"
        )
    assert source.read_bytes() == before


def test_another_jobs_output_is_told_of_an_api_too(
    source: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert rerank(source, tmp_path / "out", model) == 0
    capsys.readouterr()
    assert main(["--input", str(source), "--output", out, "--model", "http://127.0.0.1:9/rerank", RUNNER]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: output {out} is another job's: family: cross_encoder there, ")


def test_overwrite_deletes_nothing_where_there_is_a_parquet_file_that_no_job_wrote(
    source: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scored = tmp_path / "out" / "scored"
    scored.mkdir(parents=True)
    for name in ("part-0.parquet", "thesis.parquet"):
        (scored / name).write_text("years of work")
    assert rerank(source, tmp_path / "out", model, "--overwrite") == 2
    assert capsys.readouterr().err == (
        f"error: output {scored} holds what no job wrote (part-0.parquet, thesis.parquet); "
        "move it out, or give another --output\n"
    )
    assert [path.read_text() for path in scored.iterdir()] == ["years of work"] * 2
    assert not (tmp_path / "out" / "job.json").exists()


def test_what_a_worker_finds_wrong_is_one_line_too(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing listens on the port; that is found when the first shard is scored."""
    address = "http://127.0.0.1:9/rerank"
    words = ["--input", str(source), "--output", str(tmp_path / "out"), "--model", address, RUNNER]
    assert main(words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip() and "pair/s" not in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"error: endpoint {address}")
    assert "while running" not in lines[0]
