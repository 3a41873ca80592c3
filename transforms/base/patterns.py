"""From what the user names as input, files, directories and globs, to files."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

from transforms.base.errors import UserError, is_one_line, one_line
from transforms.base.files import FAILURES, absolute, inside, is_local, join, match, resolved
from transforms.base.text import TABLES

_GLOB_CHARACTERS = frozenset("*?[")


def expand(patterns: Sequence[str], output: str | None = None) -> list[str]:
    """All input files that `patterns` name, as sorted absolute paths, each file once.

    A pattern is a file, a directory (its own `*.parquet`, not those of the directories in it; where it has none, its
    own `text.TABLES`) or a glob (`**` reaches into directories). A directory that a glob names, and that is called
    `*.parquet` as Spark and Dask call a data set, stands for its own files. Names that start with "." or "_", of files
    and of directories, are skipped, as Spark and Hive do (`_temporary`, `_delta_log`), unless the pattern's part starts
    so too; a partition such as `_day=1` is read.
    Of a file that has several names because of links one counts, its own before that of a link.

    Args:
        patterns: what the user names.
        output: the job's directory, in which a glob finds nothing; None where there is none.

    Raises:
        UserError: a pattern, or a data set that it names, matches no file; or its filesystem cannot be read.
    """
    resolved_paths = {path: resolved(path) for pattern in patterns for path in _expand_one(pattern, output)}
    best_last = sorted(sorted(resolved_paths, reverse=True), key=lambda path: resolved_paths[path] == path)
    paths = sorted({resolved_paths[path]: path for path in best_last}.values())
    for path in paths:
        if not is_one_line(path):  # bytes that are not UTF-8 too, which no Parquet column could hold
            raise UserError(f"input {path!r}: its name cannot be written down; rename it")
    return paths


def local(patterns: Iterable[str]) -> list[str]:
    """Those of the patterns that are of this machine's disks."""
    return [pattern for pattern in patterns if is_local(pattern)]


def _expand_one(pattern: str, output: str | None) -> list[str]:
    try:
        matches = list(_expand_local(pattern) if is_local(pattern) else _expand_remote(pattern))
    except FAILURES as error:
        raise UserError(f"input {pattern!r} cannot be listed: {one_line(error)}") from error
    is_own = inside([output] if output is not None and is_glob(pattern) else [])
    paths = [path for path in matches if not is_own(path)]
    if empty := [path for path in paths if is_local(path) and Path(path).is_dir()]:
        if "**" not in pattern:  # which finds by itself what lies deeper
            raise UserError(
                f"input {pattern!r}: {empty[0]} is a directory that holds no *.parquet itself; name the files in it by "
                "a glob in quotes such as 'candidates/**/*.parquet', or move it away"
            )
        paths = [path for path in paths if path not in empty]
    if not paths:
        only = " but the job's own" if matches else ""
        raise UserError(
            f"input {pattern!r} matches no file{only}; give a file, a directory that itself holds *.parquet or "
            f"*{', *'.join(TABLES)}, or a glob in quotes such as 'candidates/**/*.parquet'"
        )
    return paths


def is_glob(pattern: str) -> bool:
    """Whether a pattern stands for the files that it matches, rather than for the one that has this name."""
    return not _GLOB_CHARACTERS.isdisjoint(pattern) and not (is_local(pattern) and Path(pattern).exists())


def _expand_local(pattern: str) -> Iterator[str]:
    if is_glob(pattern):
        matches: Iterable[str] = chain.from_iterable(map(_of_match, _glob(pattern)))
    else:
        matches = (_own_files(pattern) or _own_tables(pattern)) if Path(pattern).is_dir() else [pattern]
    return (absolute(match) for match in matches if Path(match).is_file() or _is_data_set(match))


def _own_files(directory: str) -> list[str]:
    return [path for path in _glob(join(directory, "*.parquet")) if Path(path).is_file()]


def _own_tables(directory: str) -> list[str]:
    return [path for path in _glob(join(directory, "*")) if _is_table(path)]


def _is_table(path: str) -> bool:
    return path.lower().removesuffix(".gz").endswith(TABLES)


def _is_data_set(path: str) -> bool:
    return path.endswith(".parquet") and Path(path).is_dir()


def _of_match(match: str) -> list[str]:
    """A glob's match, or the files of a data set; the data set itself where it has none."""
    return (_own_files(match) if _is_data_set(match) else []) or [match]


def _glob(pattern: str) -> Iterator[str]:
    """What a glob names. Not Python's own: that follows links round and round, and reads `_temporary`."""
    parts = Path(pattern).parts
    places: Iterable[str] = [""]
    for part in (*parts, "*") if parts[-1] == "**" else parts:
        places = _below(places) if part == "**" else _matching(places, part)
    return iter(places)


def _matching(folders: Iterable[str], part: str) -> Iterator[str]:
    for folder in folders:
        literal = os.path.join(folder, part)
        if _GLOB_CHARACTERS.isdisjoint(part) or Path(literal).exists():
            yield literal
        elif Path(folder).is_dir():
            with os.scandir(folder or ".") as entries:
                names = sorted(entry.name for entry in entries if fnmatchcase(entry.name, part))
            yield from (os.path.join(folder, name) for name in names if not _is_hidden(name, part[0]))


def _below(folders: Iterable[str]) -> Iterator[str]:
    """These folders and all in them, each once and by its own name where it has others because of links."""
    waiting, seen = deque(folder for folder in folders if Path(folder).is_dir()), set()
    while waiting:
        folder = waiting.popleft()
        if (own := resolved(folder or ".")) in seen:
            continue
        seen.add(own)
        yield folder
        with os.scandir(folder or ".") as entries:
            inner = sorted((entry for entry in entries if entry.is_dir()), key=lambda entry: entry.name)
        for entry in inner:
            if not _is_hidden(entry.name):
                (waiting.append if entry.is_symlink() else waiting.appendleft)(os.path.join(folder, entry.name))


def _is_hidden(name: str, first: str = "") -> bool:
    """Whether a name is skipped where the pattern's part begins with `first`."""
    return name[0] in "._" and name[0] != first and not (name[0] == "_" and "=" in name)


def _expand_remote(pattern: str) -> Iterator[str]:
    if is_glob(pattern):
        matches = _matching_remote(pattern)
    else:
        # A directory of HDFS has length 0, which no Parquet file has, and is left out. Beam takes "name/" for "name/*".
        matches = match(pattern.rstrip("/")) or _matching_remote(join(pattern, "*.parquet"))
        matches = matches or [path for path in _matching_remote(join(pattern, "*")) if _is_table(path)]
    return iter(matches)


def _matching_remote(pattern: str) -> list[str]:
    """What a glob names that is not hidden."""
    parts = [part for part in pattern.split("/") if part]
    matches = match(pattern)
    if pattern.endswith(".parquet"):
        matches += match(join(pattern, "*.parquet"))  # of data sets, see `expand`
    return [path for path in matches if not _is_hidden_in(path, parts)]


def _is_hidden_in(path: str, parts: Sequence[str]) -> bool:
    """Whether a part of the path is skipped that no part of the pattern, `parts`, names."""
    *folders, name = path.split("/")
    unnamed = [folder for folder in folders if folder and folder not in parts]
    return any(map(_is_hidden, unnamed)) or _is_hidden(name, parts[-1][0])
