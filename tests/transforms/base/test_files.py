from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.object_store import ObjectStore
from transforms.base import files
from transforms.base.errors import UnavailableError, UserError


@pytest.fixture(params=["local", "object store"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place: a directory whose name has a glob's characters, or a prefix of an object store."""
    if request.param == "object store":
        ObjectStore.objects.clear()
        return "mem://bucket/data"
    directory = tmp_path / "set [1]"
    directory.mkdir()
    return str(directory)


def put(root: str, *names: str) -> None:
    for name in names:
        files.write_text_atomically(files.join(root, name), "x")


def found(root: str, *patterns: str) -> list[str]:
    prefix = files.join(root, "")
    return [path.removeprefix(prefix) for path in files.expand([files.join(root, pattern) for pattern in patterns])]


NAMES = ["b.parquet", "a.parquet", "_plan.parquet", ".a.parquet.1f.tmp", ".h.parquet", "notes.txt", "in/c.parquet"]


def test_directory_gives_its_own_parquet_files_that_are_not_hidden(root: str) -> None:
    put(root, *NAMES)
    assert found(root, "") == ["a.parquet", "b.parquet"]


def test_file_is_taken_whatever_its_name(root: str) -> None:
    put(root, *NAMES)
    assert found(root, "notes.txt") == ["notes.txt"]
    assert found(root, "_plan.parquet") == ["_plan.parquet"]


def test_paths_are_sorted_and_unique_over_all_patterns(root: str) -> None:
    put(root, *NAMES)
    assert found(root, "in", "b.parquet", "", "a.parquet") == ["a.parquet", "b.parquet", "in/c.parquet"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.parquet", ["a.parquet", "b.parquet"]),
        ("[ab].parquet", ["a.parquet", "b.parquet"]),
        ("*", ["a.parquet", "b.parquet", "notes.txt"]),
        ("_*", ["_plan.parquet"]),
        ("*/*.parquet", ["in/c.parquet"]),
    ],
)
def test_glob(pattern: str, expected: list[str], tmp_path: Path) -> None:
    ObjectStore.objects.clear()
    for root in [str(tmp_path), "mem://bucket/data"]:
        put(root, *NAMES)
        assert found(root, pattern) == expected


def test_double_star_reaches_into_directories(tmp_path: Path) -> None:
    put(str(tmp_path), *NAMES, "in/deep/d.parquet")
    assert found(str(tmp_path), "**/*.parquet") == ["a.parquet", "b.parquet", "in/c.parquet", "in/deep/d.parquet"]


@pytest.mark.parametrize("pattern", ["a.parquet", "*.parquet", ".", "../here/a.parquet"])
def test_relative_patterns_give_absolute_paths(pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    put(str(here), "a.parquet")
    monkeypatch.chdir(here)
    assert files.expand([pattern]) == [str(here / "a.parquet")]


@pytest.mark.parametrize("pattern", ["absent.parquet", "in/*.csv", "empty"])
def test_pattern_without_a_match_is_named(pattern: str, root: str) -> None:
    put(root, "a.parquet", "in/c.parquet", "empty/_x.parquet")
    with pytest.raises(UserError, match=r"^input '[^\n]*" + pattern.replace("*", r"\*") + "' matches no file"):
        files.expand([files.join(root, "a.parquet"), files.join(root, pattern)])


def test_unknown_filesystem_is_a_users_error() -> None:
    with pytest.raises(UserError, match=r"^input 'nowhere://a/b' cannot be listed: [^\n]*$"):
        files.expand(["nowhere://a/b"])


def test_parquet_is_read_and_written_through_the_streams(root: str) -> None:
    path = files.join(root, "table.parquet.gz")  # no compression is guessed from a name
    table = pa.table({"a": [1, 2, 3]})
    files.write_atomically(path, lambda stream: pq.write_table(table, stream, row_group_size=2))
    with files.open_input(path) as stream:
        parquet = pq.ParquetFile(stream)
        assert parquet.num_row_groups == 2
        assert parquet.read_row_group(1).to_pydict() == {"a": [3]}
        stream.seek(0, os.SEEK_END)
        assert files.size(path) == stream.tell()


def test_write_replaces_and_leaves_nothing_beside(root: str) -> None:
    path = files.join(root, "a.txt")
    files.write_text_atomically(path, "old")
    files.write_text_atomically(path, "neu é")
    assert files.read_text(path) == "neu é"
    assert files.list_names(root) == ["a.txt"]


def test_failed_write_keeps_the_old_file_and_removes_its_temporary(root: str) -> None:
    def write(stream: BinaryIO) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    path = files.join(root, "a.txt")
    files.write_text_atomically(path, "old")
    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(path, write)
    assert files.read_text(path) == "old"
    assert files.list_names(root) == ["a.txt"]


def test_a_filesystem_that_fails_is_told_in_one_line(root: str) -> None:
    def write(stream: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, "No space\nleft on device")

    path = files.join(root, "a.txt")
    with pytest.raises(UnavailableError) as refused:
        files.write_atomically(path, write)
    told = "[Errno 28] No space left on device; what is done is kept, the same command continues"
    assert str(refused.value) == f"{path} cannot be written: {told}"
    assert files.list_names(root) == []


def test_file_is_invisible_until_it_is_whole(root: str) -> None:
    def write(stream: BinaryIO) -> None:
        stream.write(b"half")
        assert not files.exists(path)
        assert all(files.is_temporary(name) for name in files.list_names(root))

    path = files.join(root, "a.parquet")
    files.write_atomically(path, write)
    assert files.exists(path)


def test_two_writers_of_one_path_do_not_meet(root: str) -> None:
    def write(stream: BinaryIO) -> None:
        files.write_text_atomically(path, "inner")
        stream.write(b"outer")

    path = files.join(root, "a.txt")
    files.write_atomically(path, write)
    assert files.read_text(path) == "outer"
    assert files.list_names(root) == ["a.txt"]


def test_write_into_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.write_text_atomically("run.txt", "x")
    assert files.list_names(".") == ["run.txt"]


def test_sweep_removes_temporaries_alone(root: str) -> None:
    put(root, "a.parquet", ".a.parquet.0f3c.tmp", ".hidden", "b.tmp")
    files.sweep(root)
    assert files.list_names(root) == [".hidden", "a.parquet", "b.tmp"]


def test_delete_takes_names_literally_and_forgives_absence(root: str) -> None:
    put(root, "a1", "a2")
    files.delete([files.join(root, "a2"), files.join(root, "gone")])
    assert files.list_names(root) == ["a1"]


def test_delete_tree(root: str) -> None:
    put(root, "keep", "tree/a", "tree/in/b")
    files.delete_tree(files.join(root, "tree"))
    files.delete_tree(files.join(root, "absent"))
    assert files.list_names(root) == ["keep"]
    assert files.list_names(files.join(root, "tree")) == []


def test_join_and_base_name() -> None:
    assert files.join("gs://bucket/out/", "scored", "a.parquet") == "gs://bucket/out/scored/a.parquet"
    assert files.join("/", "out") == "/out"
    assert files.base_name("s3://bucket/out/") == "out"
    assert files.absolute("gs://bucket/out/") == "gs://bucket/out"


@pytest.mark.parametrize("module", ["transforms.base.files", "eval.ranking.runs", "eval.commands.measure"])
def test_local_files_are_read_without_importing_beam_or_torch(module: str) -> None:
    program = f"import sys, {module} as m; print(*sorted({{'apache_beam', 'torch'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
