"""What a user names as the input of a reranking job: files of candidates, or a candidates job's directory."""

from __future__ import annotations

from collections.abc import Sequence

from transforms.base.errors import UserError
from transforms.base.files import FAILURES, base_name, is_local, join, list_names
from transforms.base.patterns import expand, is_glob
from transforms.input.data_sets import SAVED
from transforms.layout import CANDIDATES_DIRECTORY, JOB, SCORED_DIRECTORY, SUCCESS

_SUMMARIES = ("_metadata", "_common_metadata")  # of a Parquet data set, in which there are no rows


def input_files(patterns: Sequence[str], output: str | None = None) -> list[str]:
    """As `expand`, where the directory of a finished candidates job stands for its candidates.

    Raises:
        UserError: as of `expand`; a directory is that of another job, or of one that has not finished, or what the
            datasets library saved; a file is the summary of a Parquet data set.
    """
    for pattern in patterns:
        if base_name(pattern) in _SUMMARIES:
            raise UserError(f"input {pattern}: sums up a Parquet data set and has no rows; give its directory")
    return expand([_candidates_of(pattern) for pattern in patterns], output)


def _candidates_of(pattern: str) -> str:
    try:
        names = set() if is_glob(pattern) else set(list_names(pattern))
    except FAILURES:  # `expand` says what is wrong
        return pattern
    if not names.isdisjoint(SAVED):
        raise UserError(f"input {pattern}: is a data set that the datasets library saved; give it as --dataset")
    if JOB not in names:
        return pattern
    if SCORED_DIRECTORY in names or _has(pattern, SCORED_DIRECTORY):
        raise UserError(
            f"input {pattern}: is the output of a reranking job; give the candidates that it read, or measure it "
            f"with `python -m eval measure {pattern}`"
        )
    if SUCCESS not in names:
        raise UserError(f"input {pattern}: its job has not finished; give that job's command again first")
    return join(pattern, CANDIDATES_DIRECTORY)


def _has(directory: str, name: str) -> bool:
    """Whether there are files in a directory's directory, where object stores list no directories."""
    return not is_local(directory) and bool(list_names(join(directory, name)))
