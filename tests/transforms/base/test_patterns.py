from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.object_store import ObjectStore, put
from transforms.base import files
from transforms.base.errors import UserError
from transforms.base.patterns import expand


def expanded(root: str, *patterns: str) -> list[str]:
    prefix = files.join(root, "")
    return [path.removeprefix(prefix) for path in expand([files.join(root, pattern) for pattern in patterns])]


NAMES = ["b.parquet", "a.parquet", "_plan.parquet", ".a.parquet.1f.tmp", ".h.parquet", "notes.txt", "in/c.parquet"]


def test_directory_gives_its_own_parquet_files_that_are_not_hidden(root: str) -> None:
    put(root, *NAMES)
    assert expanded(root, "") == ["a.parquet", "b.parquet"]


def test_file_is_taken_whatever_its_name(root: str) -> None:
    put(root, *NAMES)
    assert expanded(root, "notes.txt") == ["notes.txt"]
    assert expanded(root, "_plan.parquet") == ["_plan.parquet"]


def test_paths_are_sorted_and_unique_over_all_patterns(root: str) -> None:
    put(root, *NAMES)
    assert expanded(root, "in", "b.parquet", "", "a.parquet") == ["a.parquet", "b.parquet", "in/c.parquet"]


def test_directory_without_parquet_gives_its_own_tables_of_text(root: str) -> None:
    put(root, "b.jsonl", "a.CSV.gz", "c.tsv", "d.ndjson.gz", "e.json", "_f.jsonl", ".g.csv", "notes.txt", "in/h.jsonl")
    assert expanded(root, "") == ["a.CSV.gz", "b.jsonl", "c.tsv", "d.ndjson.gz", "e.json"]
    put(root, "z.parquet")
    assert expanded(root, "") == ["z.parquet"]


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
        assert expanded(root, pattern) == expected


def test_double_star_reaches_into_directories(tmp_path: Path) -> None:
    put(str(tmp_path), *NAMES, "in/deep/d.parquet")
    assert expanded(str(tmp_path), "**/*.parquet") == ["a.parquet", "b.parquet", "in/c.parquet", "in/deep/d.parquet"]


@pytest.mark.parametrize("pattern", ["a.parquet", "*.parquet", ".", "../here/a.parquet"])
def test_relative_patterns_give_absolute_paths(pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    put(str(here), "a.parquet")
    monkeypatch.chdir(here)
    assert expand([pattern]) == [str(here / "a.parquet")]


@pytest.mark.parametrize("pattern", ["absent.parquet", "in/*.csv", "empty"])
def test_pattern_without_a_match_is_named(pattern: str, root: str) -> None:
    put(root, "a.parquet", "in/c.parquet", "empty/_x.parquet")
    with pytest.raises(UserError, match=r"^input '[^\n]*" + pattern.replace("*", r"\*") + "' matches no file"):
        expand([files.join(root, "a.parquet"), files.join(root, pattern)])


def test_unknown_filesystem_is_a_users_error() -> None:
    with pytest.raises(UserError, match=r"^input 'nowhere://a/b' cannot be listed: [^\n]*$"):
        expand(["nowhere://a/b"])


HIDDEN = ["_temporary/0/a.parquet", "_delta_log/1.checkpoint.parquet", ".x/b.parquet", "in/_old/c.parquet"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("**/*.parquet", ["_day=1/e.parquet", "a.parquet", "in/d.parquet"]),
        ("*/*.parquet", ["_day=1/e.parquet", "in/d.parquet"]),
        ("**", ["_day=1/e.parquet", "a.parquet", "in/d.parquet"]),
        ("_temporary/*/*.parquet", ["_temporary/0/a.parquet"]),
        ("_*/*.parquet", ["_day=1/e.parquet", "_delta_log/1.checkpoint.parquet"]),
    ],
)
def test_globs_skip_hidden_folders_that_the_pattern_does_not_name(
    pattern: str, expected: list[str], tmp_path: Path
) -> None:
    put(str(tmp_path), *HIDDEN, "a.parquet", "in/d.parquet", "_day=1/e.parquet")
    assert expanded(str(tmp_path), pattern) == expected


def test_globs_skip_hidden_folders_of_an_object_store() -> None:
    ObjectStore.objects.clear()
    root = "mem://bucket/data"
    put(root, *HIDDEN, "a.parquet", "in/d.parquet", "_day=1/e.parquet")
    assert expanded(root, "*/*.parquet") == ["_day=1/e.parquet", "in/d.parquet"]
    assert expanded(root, "**/*.parquet") == ["_day=1/e.parquet", "in/d.parquet"]
    assert expanded(root, "_temporary/*/*.parquet") == ["_temporary/0/a.parquet"]


def test_a_file_counts_once_by_its_own_name_however_many_links_lead_to_it(tmp_path: Path) -> None:
    put(str(tmp_path), "in/a.parquet", "elsewhere/b.parquet")
    (tmp_path / "in/round").symlink_to(tmp_path / "in")
    (tmp_path / "in/deep").mkdir()
    (tmp_path / "in/deep/again").symlink_to("../..")
    (tmp_path / "in/Other.parquet").symlink_to("a.parquet")
    (tmp_path / "in/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/c").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/gone.parquet").symlink_to("nowhere")
    assert expanded(str(tmp_path), "in/**/*.parquet") == ["in/a.parquet", "in/b/b.parquet"]
    assert expanded(str(tmp_path), "**/*.parquet") == ["elsewhere/b.parquet", "in/a.parquet"]
    assert expanded(str(tmp_path / "in"), "") == ["a.parquet"]
    assert expanded(str(tmp_path), "in/b/*.parquet", "in/c/*.parquet", "in/a.parquet") == [
        "in/a.parquet",
        "in/b/b.parquet",
    ]
    assert expanded(str(tmp_path), "in/Other.parquet") == ["in/Other.parquet"]


def test_a_glob_finds_nothing_of_the_job_that_it_is_the_input_of(root: str) -> None:
    put(root, "in/a.parquet", "in/out/scored/part-00000-00000-00000.parquet")
    pattern, output = files.join(root, "**/*.parquet"), files.join(root, "in/out")
    assert expand([pattern], output) == [files.join(root, "in/a.parquet")]
    with pytest.raises(UserError, match=r"out/\*\*' matches no file but the job's own; give a file, "):
        expand([files.join(output, "**")], output)
    own = files.join(output, "scored/part-00000-00000-00000.parquet")
    assert expand([own], output) == [own]  # who names it learns that it is the job's own


def test_a_job_s_own_files_are_known_through_links(tmp_path: Path) -> None:
    put(str(tmp_path), "in/a.parquet", "out/scored/part-00000-00000-00000.parquet")
    (tmp_path / "in/results").symlink_to(tmp_path / "out")
    (tmp_path / "link").symlink_to(tmp_path / "out")
    pattern = f"{tmp_path}/in/**/*.parquet"
    for output in (tmp_path / "out", tmp_path / "link", tmp_path / "in/results"):
        assert expand([pattern], str(output)) == [str(tmp_path / "in/a.parquet")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every directory")
def test_a_directory_that_cannot_be_listed_is_not_skipped(tmp_path: Path) -> None:
    put(str(tmp_path), "a.parquet", "in/b.parquet")
    (tmp_path / "in").chmod(0)
    try:
        with pytest.raises(UserError, match=r"cannot be listed: .*Permission denied"):
            expanded(str(tmp_path), "**/*.parquet")
    finally:
        (tmp_path / "in").chmod(0o755)


DATA_SETS = ["a.parquet/part-0.parquet", "a.parquet/_SUCCESS", "a.parquet/_temporary/x.parquet", "b.parquet"]


def test_a_directory_of_part_files_that_a_glob_finds_is_read(tmp_path: Path) -> None:
    """Spark and Dask write a data set as a directory with the name of a file."""
    ObjectStore.objects.clear()
    for root in [str(tmp_path), "mem://bucket/data"]:
        put(root, *DATA_SETS, "a.parquet/day=1/part-1.parquet")
        assert expanded(root, "*.parquet") == ["a.parquet/part-0.parquet", "b.parquet"]


def test_a_data_set_without_files_of_its_own_is_reported(tmp_path: Path) -> None:
    put(str(tmp_path), *DATA_SETS, "c.parquet/day=1/part-0.parquet")
    with pytest.raises(UserError, match=r"^input '[^\n]*': [^\n]*/c.parquet is a directory that holds no \*.parquet"):
        expanded(str(tmp_path), "*.parquet")
    assert expanded(str(tmp_path), "**/*.parquet") == [
        "a.parquet/part-0.parquet",
        "b.parquet",
        "c.parquet/day=1/part-0.parquet",
    ]
    assert expand([str(tmp_path / "[ab].parquet")]) == expand(
        [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]
    )


def test_the_jobs_own_directory_is_no_data_set(tmp_path: Path) -> None:
    put(str(tmp_path), "b.parquet", "out.parquet/scored/part-0.parquet")
    assert expand([str(tmp_path / "*.parquet")], str(tmp_path / "out.parquet")) == [str(tmp_path / "b.parquet")]
