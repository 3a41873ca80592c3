"""What may be in the directory that a job is to have, and what of it the job may delete."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from transforms.base import files
from transforms.base.errors import UserError, is_one_line, one_line
from transforms.base.words import listed
from transforms.layout import JOB, LOCK_NAMES, RERANKING, Layout, part_files


def check_inputs(output: str, paths: Iterable[str], layout: Layout = RERANKING) -> None:
    """Refuse inputs in the job's own directory: --overwrite would delete them, or the job read what it writes.

    Raises:
        UserError: one lies there, by its name or when links are followed.
    """
    is_own = files.inside([output, *(files.join(output, name) for name in (*layout.parts, *layout.steps))])
    for path in paths:
        if is_own(path):
            raise UserError(f"input {path} lies in the job's own directory; give another --output")


def check_place(output: str, layout: Layout, known: bool = True) -> None:
    """Refuse a place that cannot be a job's directory, or is something else's.

    Args:
        output: the place.
        layout: of the job.
        known: whether a job.json there shows that it is a job's, in which others may have put things since.

    Raises:
        UserError: it is a file, cannot be listed, holds other things, or files where the job has directories, or the
            reverse; or its name is not a line of text, which Arrow opens no file by.
    """
    if not is_one_line(output):
        raise UserError(f"output {output!r}: its name cannot be written down; give another")
    try:
        if files.is_local(output) and Path(output).exists() and not Path(output).is_dir():
            raise UserError(f"output {output} is a file; give a directory")
        names = [name for name in files.list_names(output) if not name.startswith(".")]
        misplaced = [*_misplaced(output, layout)] if files.is_local(output) else []
    except files.FAILURES as error:
        raise UserError(f"output {output} cannot be listed: {one_line(error)}") from error
    others = [name for name in names if name not in layout.names()]
    if others and not (known and JOB in names):
        raise UserError(f"output {output} holds other things ({listed(others)}); give a new or an empty directory")
    if misplaced:
        raise UserError(f"output {output} holds what no job wrote ({listed(misplaced)}); move it out, or give another")


def _misplaced(output: str, layout: Layout) -> Iterator[str]:
    """Files with the names of a job's directories, directories, pipes and devices with those of its files, and links to
    nothing."""
    parts = (f"{folder}/{name}" for folder in layout.parts for name in files.list_names(files.join(output, folder)))
    own = [JOB, *layout.files, *(part for part in parts if layout.is_part(files.base_name(part)))]
    directories = (*layout.parts, *layout.steps, *layout.made)
    for name in directories:
        if Path(output, name).exists() and not Path(output, name).is_dir():
            yield f"{name}, a file"
    for name in own:
        if Path(output, name).exists() and not Path(output, name).is_file():
            yield f"{name}, {'a directory' if Path(output, name).is_dir() else 'not a regular file'}"
    for name in (*directories, *own):
        if Path(output, name).is_symlink() and not Path(output, name).exists():
            yield f"{name}, a link to nothing"


def check_without_parts(output: str, layout: Layout) -> None:
    """Refuse parts of which no job.json says what made them.

    Raises:
        UserError: there are some.
    """
    for name in layout.parts:
        if files.list_names(files.join(output, name)):
            raise UserError(
                f"output {output} has files in {name} but no {JOB} that says what made them; "
                "give --overwrite to begin again, or another --output"
            )


def check_parts(output: str, layout: Layout) -> None:
    """Refuse what looks like a part and is none: it would stop the job after all that was there is deleted.

    Raises:
        UserError: there is some.
    """
    parts = files.join(output, layout.parts[0])
    if others := [name for name in part_files(files.list_names(parts)) if not layout.is_part(name)]:
        raise UserError(
            f"output {parts} holds what no job wrote ({listed(others)}); move it out, or give another --output"
        )


def check_kept(output: str, layout: Layout = RERANKING) -> None:
    """Refuse to write a part where the directory for it, which the job made when it began, has gone since: what follows
    would be scored for nothing.

    Raises:
        UserError: it has gone.
    """
    parts = files.join(output, layout.parts[0])
    if files.is_local(output) and not Path(parts).is_dir():
        raise UserError(f"{parts} was moved or deleted while the job ran; put it back, and give the same command")


@contextmanager
def no_empty_directories(output: str, layout: Layout = RERANKING) -> Iterator[None]:
    """Where the body fails before a job is begun, remove the directories that it made and that are empty.

    Files that were converted for the job remain: the corrected command need not make them again, and those of another
    command that began at the same time are not to be told from ours.
    """
    if not files.is_local(output):
        yield
        return
    new = [str(path) for path in (Path(output), *Path(output).parents) if not os.path.lexists(path)]
    before: set[str] = set()
    with suppress(OSError, ValueError):  # it cannot be listed: the body refuses it
        before.update(files.list_names(output))
    try:
        yield
    except BaseException:
        with suppress(OSError, ValueError):  # the error of the body counts
            if {JOB, *LOCK_NAMES}.isdisjoint(files.list_names(output)):
                made = {*layout.parts, *layout.steps, *layout.made}.difference(before)
                for directory in (*(files.join(output, name) for name in made), *new):
                    with suppress(OSError):  # it holds something, or is not there
                        os.rmdir(directory)
        raise


def clear(output: str, layout: Layout = RERANKING) -> None:
    """Deletes what a job wrote into its directory, save job.json, and nothing else.

    job.json is left for the next job to replace, so that the directory is known for a job's at any moment.
    """
    files.delete(files.join(output, name) for name in layout.files)
    for directory in layout.parts:
        names = files.list_names(files.join(output, directory))
        files.delete(files.join(output, directory, name) for name in names if layout.is_part(name))
    for directory in layout.steps:
        files.delete_tree(files.join(output, directory))
