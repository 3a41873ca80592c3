from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.jobs import PART, A, B, C, make_job, open_and_close
from tests.support.object_store import ObjectStore
from transforms.base import files
from transforms.base.errors import UnavailableError, UserError
from transforms.job.directory import clear
from transforms.job.record import (
    Job,
    open_job,
    read_job,
)


def put(output: str, *names: str) -> None:
    for name in names:
        files.write_text_atomically(files.join(output, name), "x")


def all_files(output: str) -> list[str]:
    """Every file under the output directory."""
    if files.is_local(output):
        return sorted(path.relative_to(output).as_posix() for path in Path(output).rglob("*") if path.is_file())
    return sorted(path.removeprefix(f"{output}/") for path in ObjectStore.objects if path.startswith(f"{output}/"))


def test_new_job_is_written_before_the_context_begins(output: str) -> None:
    with open_job(output, make_job()) as opened:
        assert opened == make_job()
        assert read_job(output) == make_job()
    assert all_files(output) == ["job.json"]


def test_job_json_for_readers(output: str) -> None:
    open_and_close(output, make_job())
    record = json.loads(files.read_text(files.join(output, "job.json")))
    assert list(record) == [
        "fingerprint",
        "inputs",
        "model",
        "options",
        "execution",
        "versions",
        "created",
        "command",
        "schema_version",
        "part_version",
        "kind",
    ]
    assert record["inputs"][0] == {"path": "/in/a.parquet", "size": 100, "footer_hash": "aa"}


def test_job_json_without_a_schema_version_is_of_the_first(output: str) -> None:
    open_and_close(output, make_job())
    path = files.join(output, "job.json")
    record = json.loads(files.read_text(path))
    del record["schema_version"]
    text = json.dumps(record, indent=2) + "\n"
    files.write_text_atomically(path, text)
    assert open_and_close(output, make_job()) == make_job(schema_version=1)
    assert files.read_text(path) == text
    with pytest.raises(UserError) as error:
        open_and_close(output, make_job(schema_version=2))
    assert str(error.value) == (
        f"output {output} is another job's: its parts' columns are of version 1, those written here 2; "
        "give another --output, or delete what is there (--overwrite)"
    )


def test_same_job_continues_with_the_stored_execution(output: str) -> None:
    open_and_close(output, make_job())
    put(output, f"scored/{PART}", "_plan.parquet")
    before = all_files(output)
    wanted = make_job(execution={"device": "cpu", "dtype": "bfloat16"}, versions={}, created="later", command={})
    assert open_and_close(output, wanted) == make_job()
    assert read_job(output) == make_job()
    assert all_files(output) == before


def test_request_that_contradicts_the_stored_execution(output: str) -> None:
    open_and_close(output, make_job())
    assert open_and_close(output, make_job(), requested={"dtype": "float32"}) == make_job()
    with pytest.raises(UserError, match="was begun with dtype float32, and bfloat16 is asked for; leave --dtype out"):
        open_and_close(output, make_job(), requested={"threads": 2, "dtype": "bfloat16"})


def test_another_job_is_refused_with_what_differs(output: str) -> None:
    open_and_close(output, make_job())
    put(output, f"scored/{PART}", "_SUCCESS")
    with pytest.raises(UserError) as error:
        open_and_close(output, make_job(C, options={**make_job().options, "top_k": 3}), extend=True)
    assert str(error.value) == (
        f"output {output} is another job's: top_k: not set there, 3 here; "
        "2 input files are not given here: /in/a.parquet, /in/b.parquet; "
        "give another --output, or delete what is there (--overwrite)"
    )
    assert all_files(output) == ["_SUCCESS", "job.json", f"scored/{PART}"]


def test_changed_input_is_refused_even_with_extend(output: str) -> None:
    open_and_close(output, make_job())
    with pytest.raises(UserError, match=r"input file /in/a\.parquet has changed: 100 bytes there, 99 here"):
        open_and_close(output, make_job(replace(A, size=99), B, C), extend=True)


def test_added_input_needs_extend(output: str) -> None:
    open_and_close(output, make_job(A, C))
    put(output, f"scored/{PART}", "_SUCCESS", "_plan.parquet", "report.json")
    with pytest.raises(UserError, match=r"1 input file is new \(/in/b.parquet\); give --extend to score them too"):
        open_and_close(output, make_job(A, B, C))
    assert "_SUCCESS" in all_files(output)
    # The new file takes the index after those there are, though its path sorts between them.
    assert open_and_close(output, make_job(A, B, C), extend=True) == make_job(A, C, B)
    assert read_job(output) == make_job(A, C, B)
    assert all_files(output) == ["job.json", f"scored/{PART}"]
    assert open_and_close(output, make_job(A, B, C)) == make_job(A, C, B)


def test_what_fails_before_anything_is_done_leaves_the_output_to_another(output: str) -> None:
    def fail(job: Job, *made: str) -> None:
        with open_job(output, job):
            put(output, *made)
            raise UserError("the key is refused")

    with pytest.raises(UserError, match="refused"):
        fail(make_job(), "_plan.parquet")
    assert all_files(output) == []
    other = make_job(options={}, fingerprint="f2")
    with pytest.raises(UserError, match="refused"):
        fail(other, f"scored/{PART}")
    assert open_and_close(output, other) == other, "some of it is done, and it continues"
    with pytest.raises(UserError, match="is another job's"):
        open_and_close(output, make_job())


def test_what_is_to_continue_keeps_the_output(output: str) -> None:
    with pytest.raises(UnavailableError), open_job(output, make_job()):
        raise UnavailableError("a worker process died")
    with pytest.raises(UserError, match="is another job's"):
        open_and_close(output, make_job(options={}, fingerprint="f2"))
    assert open_and_close(output, make_job()) == make_job()


def test_overwrite_deletes_a_jobs_own_files_alone(output: str) -> None:
    open_and_close(output, make_job())
    own = ["_SUCCESS", "report.json", "_plan.parquet", "_regrouped/0/part-00000.parquet"]
    put(output, *own, f"scored/{PART}", f"rejected/{PART}", f"scored/.{PART}.0f.tmp")
    others = ["best.run", "plots/a.png", "scored/notes.txt", "rejected/mine.parquet"]
    put(output, *others)
    wanted = make_job(C, options={})
    assert open_and_close(output, wanted, overwrite=True) == wanted
    assert all_files(output) == sorted([*others, "job.json"])
    assert read_job(output) == wanted


def test_overwrite_cut_short_leaves_a_directory_that_is_known(output: str) -> None:
    open_and_close(output, make_job())
    put(output, f"scored/{PART}")
    clear(output)
    assert open_and_close(output, make_job()) == make_job()


def test_temporaries_of_killed_runs_are_swept(output: str) -> None:
    open_and_close(output, make_job())
    put(output, f"scored/.{PART}.1f.tmp", f"rejected/.{PART}.2f.tmp", ".job.json.3f.tmp", f"scored/{PART}")
    open_and_close(output, make_job())
    assert all_files(output) == ["job.json", f"scored/{PART}"]


def test_directory_of_other_things_is_refused_and_left_alone(output: str) -> None:
    put(output, "thesis.tex", ".hidden")
    for overwrite in (False, True):
        with pytest.raises(UserError, match=r"holds other things \(thesis.tex\); give a new or an empty directory"):
            open_and_close(output, make_job(), overwrite=overwrite)
    assert all_files(output) == [".hidden", "thesis.tex"]


def test_parts_without_job_json_are_refused_unless_overwritten(output: str) -> None:
    put(output, f"scored/{PART}")
    with pytest.raises(UserError, match=r"has files in scored but no job.json that says what made them"):
        open_and_close(output, make_job())
    assert all_files(output) == [f"scored/{PART}"]
    open_and_close(output, make_job(), overwrite=True)
    assert all_files(output) == ["job.json"]


def test_empty_and_hidden_only_directories_are_taken(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").touch()
    open_and_close(str(tmp_path), make_job())
    assert all_files(str(tmp_path)) == [".DS_Store", "job.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"inputs": [{"path": 1}]}'])
def test_damaged_job_json(text: str, output: str) -> None:
    files.write_text_atomically(files.join(output, "job.json"), text)
    with pytest.raises(UserError, match=rf"^{output}/job.json is damaged; give --overwrite"):
        open_and_close(output, make_job())
    assert open_and_close(output, make_job(), overwrite=True) == make_job()


def test_output_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(UserError, match="/out is a file; give a directory"):
        open_and_close(str(tmp_path / "out"), make_job())


def test_output_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"/file/out cannot be written to: [^\n]+; give another --output$"):
        open_and_close(str(tmp_path / "file" / "out"), make_job())


@contextmanager
def forbidding_directory(mode: int) -> Iterator[str]:
    """A directory with these permissions, which bind also where the tests run as root, whom none would stop.

    It lies in /tmp itself, since a TMPDIR made by root may be closed to the user that root becomes here.
    """
    with pytest.raises(UserError):
        open_and_close("/dev/null/out", make_job())  # which imports what that user may not read
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(mode)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # nobody
        try:
            yield directory
        finally:
            os.seteuid(user)
            Path(directory).chmod(0o755)


def test_output_that_is_not_writable() -> None:
    with (
        forbidding_directory(0o555) as output,
        pytest.raises(
            UserError, match=rf"^output {output} cannot be written to: .*Permission denied.* another --output$"
        ),
    ):
        open_and_close(output, make_job())


def test_output_that_may_not_be_looked_into() -> None:
    with (
        forbidding_directory(0o000) as directory,
        pytest.raises(UserError, match=f"^output {directory}/out cannot be listed: .*Permission denied"),
    ):
        open_and_close(f"{directory}/out", make_job())


def test_output_on_an_unknown_filesystem() -> None:
    with pytest.raises(UserError, match="output nowhere://a/b cannot be listed: "):
        open_and_close("nowhere://a/b", make_job())


def test_second_job_is_refused_while_the_first_runs(output: str) -> None:
    with (
        open_job(output, make_job()),
        pytest.raises(UserError, match=rf"in use by another job \(host [^ ]+, process {os.getpid()}, since 20"),
    ):
        open_and_close(output, make_job(), overwrite=True)
    open_and_close(output, make_job())
