from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from transforms import layout
from transforms.layout import RERANKING, part_files, part_name, part_numbers

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("eval", "pipelines", "transforms", "scripts", "tests/support")
# What a user types, and a folder of data sets that has the name of one in a job's directory.
SPELLING = ("scripts/first_day.py", "scripts/measure/compare_with_sentence_transformers.py")
SOURCES = [path for name in FOLDERS for path in sorted((ROOT / name).rglob("*.py"))]
# Words by themselves, too, so that they are names in a path alone.
WORDS = {"scored", "rejected", "candidates"}
NAMES = {
    *("job.json", "report.json", "_SUCCESS", "_plan.parquet", "_retry.json"),
    *("_regrouped", "_converted", "_staged", "_lock", "_lock.json"),
}


def test_names_in_a_jobs_directory() -> None:
    assert RERANKING.names() == NAMES | {"scored", "rejected"}


def test_part_names_are_built_and_parsed() -> None:
    assert part_name(3, 12, 0) == "part-00003-00012-00000"
    assert part_name(7) == "part-00007"
    assert part_name(123456, 1) == "part-123456-00001"
    assert part_numbers("part-00003-00012-00000") == (3, 12, 0)
    assert part_numbers("part-123456-00001") == (123456, 1)
    assert [part_numbers(name) for name in ("part", "part-", "part-1-", "part-a", "apart-1", "part-1.parquet")] == [
        ()
    ] * 6


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("part-00000-00001-00002.parquet", True),
        ("part-00000-00001-00002", False),
        ("part-00000-00001.parquet", False),
        ("part-00000.parquet", False),
        ("part-00000-00001-00002.parquet.tmp", False),
        (".part-00000-00001-00002.parquet", False),
    ],
)
def test_a_part_of_the_reranking_job_has_three_numbers(name: str, expected: bool) -> None:
    assert RERANKING.is_part(name) is expected


def test_files_that_a_reader_takes_for_parts() -> None:
    names = ["b.parquet", "_plan.parquet", ".a.parquet", "part-1.parquet", "notes.txt"]
    assert part_files(names) == ["b.parquet", "part-1.parquet"]


def spelled(source: str) -> Iterator[str]:
    """The string constants that spell a name in a job's directory."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            yield from WORDS & {node.right.value}
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            pieces = node.value.split("/")
            words = WORDS.intersection(pieces) if len(pieces) > 1 else set()
            if words or NAMES.intersection(pieces) or any(piece.startswith("part-") for piece in pieces):
                yield node.value


def test_spelled_names_are_found() -> None:
    source = 'f"part-{n}"; f"{path}/scored"; out / "rejected"; x == "_SUCCESS"; "scored"; print("no job.json is there")'
    assert sorted(spelled(source)) == ["/scored", "_SUCCESS", "part-", "rejected"]


def test_names_in_a_jobs_directory_are_spelled_in_one_file() -> None:
    known = [Path(layout.__file__), *(ROOT / name for name in SPELLING)]
    by_file = {
        str(path.relative_to(ROOT)): names
        for path in SOURCES
        if path not in known and (names := list(spelled(path.read_text(encoding="utf-8"))))
    }
    assert by_file == {}
