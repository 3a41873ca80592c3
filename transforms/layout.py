"""The names in a job's output directory: the contract in files, as schema.py is the one in columns."""

from __future__ import annotations

import re
from dataclasses import dataclass

JOB, SUCCESS, REPORT, PLAN = "job.json", "_SUCCESS", "report.json", "_plan.parquet"
SCORED_DIRECTORY, REJECTED_DIRECTORY, REGROUPED_DIRECTORY = "scored", "rejected", "_regrouped"
RETRY, STAGED_DIRECTORY = "_retry.json", "_staged"
CONVERTED_DIRECTORY = "_converted"  # input in other forms than Parquet, as Parquet
CANDIDATES_DIRECTORY = "candidates"
LOCK_NAMES = ("_lock", "_lock.json")  # on a local filesystem, elsewhere

PART = "part"
PARQUET = ".parquet"
PART_PATTERN = f"{PART}-*{PARQUET}"
_PART_NAME = re.compile(rf"{PART}((?:-\d+)+)")


def part_name(*numbers: int) -> str:
    """A part's name from its numbers: file, row group and slice of a shard, say, "part-00003-00012-00000"."""
    return "-".join([PART, *(f"{number:05d}" for number in numbers)])


def part_numbers(name: str) -> tuple[int, ...]:
    """The numbers of which `part_name` makes this name; none where it is not a part's."""
    match = _PART_NAME.fullmatch(name)
    return tuple(int(number) for number in match[1].split("-")[1:]) if match else ()


def row_group_of(name: str) -> tuple[int, int]:
    """(file, row group) of a part's name."""
    file, row_group, _ = part_numbers(name)
    return file, row_group


def input_path(output: str, path: str) -> str:
    """Where an input file of job.json is: what the job made itself stands there by its place in the job's directory."""
    return f"{output.rstrip('/')}/{path}" if path.startswith(f"{CONVERTED_DIRECTORY}/") else path


@dataclass(frozen=True)
class Layout:
    """What a kind of job has in its directory beside job.json.

    Attributes:
        kind: what the job does, in job.json and in messages.
        parts: directories of part files.
        numbers: how many numbers a part's name has.
        files: what is made of the parts, or describes them.
        steps: directories with what its steps leave for each other.
        made: directories with input that is made before the job begins.
    """

    kind: str
    parts: tuple[str, ...]
    numbers: int
    files: tuple[str, ...]
    steps: tuple[str, ...]
    made: tuple[str, ...] = ()

    def names(self) -> set[str]:
        return {JOB, *self.parts, *self.files, *self.steps, *self.made, *LOCK_NAMES}

    def is_part(self, file_name: str) -> bool:
        """Whether a file's name is that of a part of such a job."""
        name = file_name.removesuffix(PARQUET)
        return name != file_name and len(part_numbers(name)) == self.numbers


RERANKING = Layout(
    kind="reranking",
    parts=(SCORED_DIRECTORY, REJECTED_DIRECTORY),
    numbers=3,
    files=(SUCCESS, REPORT, PLAN, RETRY),
    steps=(REGROUPED_DIRECTORY, STAGED_DIRECTORY),
    made=(CONVERTED_DIRECTORY,),
)


def part_files(names: list[str]) -> list[str]:
    """Of a directory's names those that whoever reads it as a data set takes for parts: Parquet files not hidden."""
    return [name for name in names if name.endswith(PARQUET) and name[0] not in "._"]
