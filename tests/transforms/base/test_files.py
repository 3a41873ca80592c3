from __future__ import annotations

import ast
import errno
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.object_store import put
from transforms.base import files
from transforms.base.errors import UnavailableError, UserError


def test_parquet_is_read_and_written_through_the_streams(root: str) -> None:
    path = files.join(root, "table.parquet.gz")  # no compression is guessed from a name
    table = pa.table({"a": [1, 2, 3]})
    files.write_atomically(path, lambda stream: pq.write_table(table, stream, row_group_size=2))
    with files.open_columns(path) as stream:
        parquet = pq.ParquetFile(stream)
        assert parquet.num_row_groups == 2
        assert parquet.read_row_group(1).to_pydict() == {"a": [3]}
        stream.seek(0, os.SEEK_END)
        assert files.size(path) == stream.tell()


def test_arrow_reads_local_files_without_an_object_of_python(tmp_path: Path) -> None:
    """Its threads let go of such an object late, which aborts an ending process (pyarrow 25.0.1, Python 3.11)."""
    (tmp_path / "a").write_bytes(b"abc")
    with files.open_columns(str(tmp_path / "a")) as stream:
        assert isinstance(stream, pa.OSFile)
        assert stream.read() == b"abc"
    sources = [path for name in ("eval", "pipelines", "transforms") for path in Path(name).rglob("*.py")]
    opened = {
        f"{path}:{block.lineno}"
        for path in sources
        for block in ast.walk(ast.parse(path.read_text()))
        if isinstance(block, ast.With) and re.search(r"\bopen_input\(", ast.unparse(block).partition(":\n")[0])
        if re.search(r"\bpq\.(ParquetFile|read_\w+)\(stream", ast.unparse(block))
    }
    assert len(sources) > 100
    assert not opened


def test_a_process_ends_when_arrow_has_let_go_of_files_elsewhere() -> None:
    """One of whose threads is played by one of Python's here, which is to be done at a known time."""
    program = """if True:
        import threading, time
        from tests.support.object_store import ObjectStore
        from transforms.base import files
        ObjectStore.objects["mem://bucket/a"] = b"abc"
        held = [files.open_columns("mem://bucket/a")]
        def let_go():
            time.sleep(0.3)
            print("let go", flush=True)
            held.clear()
        threading.Thread(target=let_go, daemon=True).start()
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "let go\n"


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to(os.devnull)
    for name in ("pipe", "device"):
        for read in (files.open_columns, files.read_text):
            with pytest.raises(OSError, match=f"^\\[Errno 22\\] not a regular file: '{tmp_path}/{name}'$"):
                read(str(tmp_path / name))


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


def test_a_filesystem_that_fails_is_reported_in_one_line(root: str) -> None:
    def write(stream: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, "No space\nleft on device")

    path = files.join(root, "a.txt")
    with pytest.raises(UnavailableError) as refused:
        files.write_atomically(path, write)
    message = "[Errno 28] No space left on device; what is done is kept, the same command continues"
    assert str(refused.value) == f"{path} cannot be written: {message}"
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


def test_a_link_to_a_tree_is_deleted_and_not_the_tree(tmp_path: Path) -> None:
    put(str(tmp_path), "tree/a")
    (tmp_path / "link").symlink_to(tmp_path / "tree")
    files.delete_tree(str(tmp_path / "link"))
    assert files.list_names(str(tmp_path)) == ["tree"]
    assert files.list_names(str(tmp_path / "tree")) == ["a"]


def test_a_relative_path_in_a_directory_that_is_gone_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UserError) as error:
        files.absolute("out")
    assert str(error.value) == (
        "out: the working directory is gone ([Errno 2] No such file or directory); change to another"
    )
    assert files.absolute("/out") == "/out"


def test_walk_goes_into_directories_and_a_directory_is_known_by_what_is_in_it(root: str) -> None:
    put(root, "tree/b", "tree/in/a", "treetop")
    tree = files.join(root, "tree")
    assert files.walk(tree) == [files.join(tree, "b"), files.join(tree, "in", "a")]
    assert files.walk(files.join(root, "tre")) == []
    assert [files.is_directory(files.join(root, name)) for name in ("tree", "tre", "treetop")] == [True, False, False]


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
