"""What cannot be a job's directory, or is one no more, is one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from transforms.base.errors import UserError
from transforms.job.directory import no_empty_directories
from transforms.job.record import new_job, open_job
from transforms.layout import RERANKING, Layout

CANDIDATES = Layout("candidates", parts=("candidates",), numbers=1, files=("_SUCCESS",), steps=("_work",))


def begin(output: Path, layout: Layout, *, overwrite: bool = False) -> None:
    wanted = new_job([], kind=layout.kind, model={}, options={}, execution={}, command={})
    with open_job(str(output), wanted, overwrite=overwrite, layout=layout):
        (output / layout.parts[0] / "kept").touch()


def test_a_damaged_record_beside_other_things_is_not_overwritten(tmp_path: Path) -> None:
    begin(tmp_path, CANDIDATES)
    (tmp_path / "job.json").write_text("{")
    with pytest.raises(UserError, match=r"holds other things \(candidates\); give a new or an empty directory$"):
        begin(tmp_path, RERANKING, overwrite=True)
    begin(tmp_path, CANDIDATES, overwrite=True)


def make_and_fail(path: Path, error: type[BaseException]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x") if "." in path.name else path.mkdir()
    raise error("refused")


@pytest.mark.parametrize(
    ("error", "made", "remains"),
    [
        (UserError, "_converted", False),
        (UserError, "_converted/a.parquet", True),
        (UserError, "scored", False),
        (UserError, "scored/part-00000-00000-00000.parquet", True),
        (UserError, "job.json", True),
        (UserError, "_lock", True),
        (UserError, "of another", True),
        (RuntimeError, "scored", False),
        (KeyboardInterrupt, "_staged", False),
    ],
)
def test_a_refused_command_leaves_no_empty_directories(
    error: type[BaseException], made: str, remains: bool, tmp_path: Path
) -> None:
    for output in (tmp_path / "new" / "out", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(error), no_empty_directories(str(output)):
            make_and_fail(output / made, error)
        assert (output / made).exists() == remains
    assert (tmp_path / "new").exists() == remains, "neither do the directories above it remain"
    assert (tmp_path / "empty").exists(), "it was there before"


def test_what_was_there_before_a_refused_command_is_kept(tmp_path: Path) -> None:
    kept = tmp_path / "_converted" / "a.parquet"
    kept.parent.mkdir()
    kept.touch()
    (tmp_path / "scored").mkdir()
    with pytest.raises(UserError), no_empty_directories(str(tmp_path)):
        raise UserError("refused")
    assert kept.exists()
    assert (tmp_path / "scored").is_dir()


@pytest.mark.parametrize(
    ("name", "is_file", "shown"),
    [
        ("scored", True, "scored, a file"),
        ("rejected", True, "rejected, a file"),
        ("_regrouped", True, "_regrouped, a file"),
        ("_converted", True, "_converted, a file"),
        ("job.json", False, "job.json, a directory"),
        ("report.json", False, "report.json, a directory"),
        ("scored/part-00000-00000-00000.parquet", False, "scored/part-00000-00000-00000.parquet, a directory"),
    ],
)
def test_files_and_directories_in_each_others_place_are_one_line(
    name: str, is_file: bool, shown: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x") if is_file else path.mkdir()
    for overwrite in (False, True):
        with pytest.raises(UserError) as error:
            begin(tmp_path, RERANKING, overwrite=overwrite)
        assert str(error.value) == f"output {tmp_path} holds what no job wrote ({shown}); move it out, or give another"
    assert path.exists()


@pytest.mark.parametrize("name", ["_SUCCESS", "_plan.parquet", "rejected/part-00000-00000-00000.parquet"])
def test_pipes_and_devices_in_the_place_of_files_are_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    for make in (os.mkfifo, lambda path: path.symlink_to(os.devnull)):
        make(path)
        for overwrite in (False, True):
            with pytest.raises(UserError) as error:
                begin(tmp_path, RERANKING, overwrite=overwrite)
            said = f"({name}, not a regular file); move it out, or give another"
            assert str(error.value) == f"output {tmp_path} holds what no job wrote {said}"
        path.unlink()


def test_what_cannot_be_deleted_is_one_line(tmp_path: Path) -> None:
    begin(tmp_path, RERANKING)
    (tmp_path / "scored" / ".part.tmp").mkdir()  # named like a temporary
    with pytest.raises(UserError) as error:
        begin(tmp_path, RERANKING)
    start, end = f"output {tmp_path} cannot be written to: [Errno ", "/scored/.part.tmp'; give another --output"
    assert (str(error.value)[: len(start)], str(error.value)[-len(end) :]) == (start, end)


@pytest.mark.parametrize("name", ["scored", "job.json", "scored/part-00000-00000-00000.parquet"])
@pytest.mark.parametrize("target", ["nowhere", "itself"])
def test_links_that_lead_nowhere_are_one_line(name: str, target: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(path if target == "itself" else tmp_path / "nowhere")
    for overwrite in (False, True):
        with pytest.raises(UserError) as error:
            begin(tmp_path, RERANKING, overwrite=overwrite)
        said = f"({name}, a link to nothing); move it out, or give another"
        assert str(error.value) == f"output {tmp_path} holds what no job wrote {said}"
    assert path.is_symlink()


def test_an_output_that_is_moved_while_the_job_runs_is_one_line(tmp_path: Path) -> None:
    output = tmp_path / "out"
    wanted = new_job([], kind="reranking", model={}, options={}, execution={}, command={})
    line = (
        f"output {output} was moved or deleted while the job ran; delete what was written there since, move it back, "
        "and give the same command"
    )
    with pytest.raises(UserError) as error, open_job(str(output), wanted):
        output.rename(tmp_path / "away")
    assert str(error.value) == line
    (tmp_path / "away").rename(output)

    def fail_without_it() -> None:
        with open_job(str(output), wanted):
            output.rename(tmp_path / "away")
            raise RuntimeError("a part was not committed")

    with pytest.raises(UserError) as error:
        fail_without_it()
    assert str(error.value) == line
    assert (tmp_path / "away" / "job.json").exists()
