"""Files on any filesystem that Beam reads: local paths, gs://, s3://, hdfs://.

Everything that the job reads or writes passes through here. Remote paths go through Beam's `FileSystems`; local ones
go straight to the operating system, because Beam's local filesystem takes every path for a glob when it deletes, walks
whole trees when it lists, finds nothing for a relative pattern without a folder, and never flushes to disk.
"""

from __future__ import annotations

import atexit
import errno
import hashlib
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from weakref import WeakSet

from transforms.base.errors import UnavailableError, UserError, one_line

if TYPE_CHECKING:
    from apache_beam.io.filesystems import FileSystems

# One read for the footers of most Parquet files, where each read of a remote file costs a round trip.
TAIL_BYTES = 64 << 10
# What Beam raises where a filesystem fails (its BeamIOError is an OSError), is unknown, or is not installed.
FAILURES = (OSError, ValueError, ImportError)
# Renaming onto a file that exists fails on these, so the target has to go first.
_SCHEMES_THAT_NEVER_OVERWRITE = frozenset({"hdfs"})
_UNCOMPRESSED = "uncompressed"  # Beam's CompressionTypes.UNCOMPRESSED
_SCHEME = re.compile(r"([a-zA-Z][-a-zA-Z0-9+.]*)://")  # as Beam reads it
# How long an ending process waits for Arrow's threads, which need microseconds; what is held for good is not theirs.
_MOST_SECONDS_TO_LET_GO = 1.0
_lent_to_arrow: WeakSet[BinaryIO] = WeakSet()


def _remote() -> type[FileSystems]:
    """Beam's filesystems, with its own defaults where no job has set options: without any s3:// and hdfs:// refuse.

    Beam takes a second to import, which local files do without.
    """
    from apache_beam.io.filesystems import FileSystems

    if FileSystems._pipeline_options is None:
        from apache_beam.options.pipeline_options import PipelineOptions

        FileSystems.set_options(PipelineOptions([]))
    return FileSystems


def _scheme(path: str) -> str | None:
    match = _SCHEME.match(path.strip())
    return match[1] if match else None


def is_local(path: str) -> bool:
    return _scheme(path) is None


def join(base: str, *parts: str) -> str:
    return "/".join([base.rstrip("/"), *parts])


def base_name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def absolute(path: str) -> str:
    """`path` as it reads from any working directory. Links are kept: their names often say more than their targets'.

    Raises:
        UserError: it is an address on a filesystem that is unknown, or not installed; or it begins at the working
            directory, which is gone.
    """
    if is_local(path):
        try:
            return os.path.abspath(path)
        except OSError as error:
            raise UserError(f"{path}: the working directory is gone ({one_line(error)}); change to another") from error
    try:
        _remote().get_filesystem(path)
    except FAILURES as error:
        raise UserError(f"{path}: {one_line(error)}") from error
    return path.rstrip("/")


def resolved(path: str) -> str:
    """`path` without links, which shows whether two names are of one file; addresses elsewhere as `absolute`."""
    return os.path.realpath(path) if is_local(path) else path.rstrip("/")


def inside(directories: Iterable[str]) -> Callable[[str], bool]:
    """A test of whether a path lies in one of the directories, or is one, as it reads or when links are followed."""
    places = {name for directory in directories for name in (absolute(directory), resolved(directory))}

    def lies_inside(path: str) -> bool:
        return any(f"{name}/".startswith(f"{place}/") for name in (absolute(path), resolved(path)) for place in places)

    return lies_inside


def match(pattern: str) -> list[str]:
    """The files on a filesystem elsewhere that a glob of Beam's names, those without a byte aside."""
    (result,) = _remote().match([pattern])
    return [metadata.path for metadata in result.metadata_list if metadata.size_in_bytes > 0]


def exists(path: str) -> bool:
    return Path(path).exists() if is_local(path) else bool(_remote().exists(path))


def size(path: str) -> int:
    """Bytes of a file."""
    return Path(path).stat().st_size if is_local(path) else int(_remote().get_filesystem(path).size(path))


def modified(path: str) -> float:
    """When a file was last written to, in seconds since 1970."""
    return Path(path).stat().st_mtime if is_local(path) else float(_remote().get_filesystem(path).last_updated(path))


def open_input(path: str) -> BinaryIO:
    """A seekable stream of a file's own bytes, whatever its name ends in.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if is_local(path):
        return Path(path).open("rb")
    try:
        stream: BinaryIO = _remote().open(path, compression_type=_UNCOMPRESSED)
    except Exception as error:  # each kind of filesystem has its own for a file that is not there
        if _remote().exists(path):
            raise
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    return stream


def open_columns(path: str) -> BinaryIO:
    """As `open_input`, for pyarrow to read Parquet from: a local file, a regular one, is a file of Arrow's own.

    Arrow's threads may let go of the last of a file after a read has returned. Where that is an object of Python's they
    ask for the interpreter, and if it is ending by then, the whole process aborts (pyarrow 25.0.1 on Python 3.11). So a
    process does not end before they have let go of the files elsewhere.

    Raises:
        OSError: it is missing, or cannot be opened; a pipe, say, which would be waited for.
    """
    if not is_local(path):
        stream = open_input(path)
        _lent_to_arrow.add(stream)
        return stream
    from pyarrow import OSFile  # takes a while to import, which most commands' mistakes do without

    _check_regular(path)
    native: BinaryIO = OSFile(path)
    return native


@atexit.register
def _wait_for_arrow() -> None:
    limit = time.monotonic() + _MOST_SECONDS_TO_LET_GO
    while _lent_to_arrow and time.monotonic() < limit:
        time.sleep(0.001)


def _check_regular(path: str) -> None:
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)


def read_tail(stream: BinaryIO) -> tuple[int, bytes]:
    """Bytes of a file, and the last TAIL_BYTES of them: a check sum or a footer, which identify it."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - TAIL_BYTES))
    return size, stream.read()


def read_text(path: str) -> str:
    """What a job wrote; a local file is a regular one, as for `open_columns`."""
    if is_local(path):
        _check_regular(path)
    with open_input(path) as stream:
        return stream.read().decode("utf-8")


def sha256(path: str) -> str:
    """Hexadecimal SHA-256 of a file's own bytes."""
    digest = hashlib.sha256()
    with open_input(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def identify(path: str) -> tuple[int, str]:
    """Bytes of a file, and hexadecimal SHA-256 of what identifies its content: of gzip and Parquet the last TAIL_BYTES,
    which hold the check sum or the footer; of a plain file all."""
    if not path.endswith((".gz", ".parquet")):
        return size(path), sha256(path)
    with open_input(path) as stream:
        length, tail = read_tail(stream)
    return length, hashlib.sha256(tail).hexdigest()


def list_names(directory: str) -> list[str]:
    """Sorted names in a directory, [] where there is none. Object stores know no directories and list files alone."""
    if is_local(directory):
        return sorted(os.listdir(directory)) if Path(directory).is_dir() else []
    return sorted(map(base_name, _match_in(directory, "*")))


def is_directory(path: str) -> bool:
    """Whether a path is a directory; on an object store, whether it is a part of the names of others."""
    return Path(path).is_dir() if is_local(path) else bool(_match_in(path, "**", limit=1))


def walk(directory: str) -> list[str]:
    """Sorted paths of all files in a directory and in those below it, [] where there is none."""
    if is_local(directory):
        return sorted(str(path) for path in Path(directory).rglob("*") if path.is_file())
    return sorted(_match_in(directory, "**"))


def _match_in(directory: str, pattern: str, limit: int | None = None) -> list[str]:
    if _scheme(directory) == "hdfs" and not _remote().exists(directory):  # which Beam takes for an error
        return []
    (result,) = _remote().match([join(directory, pattern)], [limit])
    return [metadata.path for metadata in result.metadata_list]


def make_directory(path: str) -> None:
    if is_local(path):
        Path(path).mkdir(parents=True, exist_ok=True)
    else:
        with suppress(OSError):  # it exists already
            _remote().mkdirs(path)


def delete(paths: Iterable[str]) -> None:
    """Deletes files; one that does not exist is not an error."""
    for path in paths:
        if is_local(path):
            Path(path).unlink(missing_ok=True)
        elif _remote().exists(path):
            _remote().delete([path])


def delete_tree(directory: str) -> None:
    """Deletes a directory with all that it holds, if it is there."""
    if is_local(directory):
        if Path(directory).is_symlink():  # what it leads to lies elsewhere
            Path(directory).unlink()
        elif Path(directory).is_dir():
            shutil.rmtree(directory)
        return
    _remote().delete(walk(directory))


def write_atomically(path: str, write: Callable[[BinaryIO], None]) -> None:
    """As `write_unflushed`, and flushes the directory too, so that a power cut leaves the file under its name."""
    write_unflushed(path, write)
    if is_local(path):
        flush_names(str(Path(path).parent))


def write_unflushed(path: str, write: Callable[[BinaryIO], None]) -> None:
    """Lets `write` fill a file that appears under `path` whole or not at all, replacing one that is there.

    The bytes go to a temporary beside it first, whose name is unique because a runner may run an element twice at once.
    Local files are flushed to the disk before they get their name, so a power cut leaves no hollow ones. `flush_names`
    is to be called before anything relies on the name.

    Args:
        path: of the file.
        write: fills it.

    Raises:
        UnavailableError: the filesystem does not take it; the disk is full, say, or read-only by now.
    """
    directory, slash, name = path.rpartition("/")
    temporary = f"{directory}{slash}.{name}.{uuid.uuid4().hex}.tmp"
    try:
        write_temporary(temporary, write)
        rename(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            delete([temporary])
        if isinstance(error, OSError):
            raise _not_written(path, error) from error
        raise


def _not_written(path: str, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"{path} cannot be written: {one_line(error)}; what is done is kept, the same command continues"
    )


def write_text_atomically(path: str, text: str) -> None:
    def write(stream: BinaryIO) -> None:
        stream.write(text.encode("utf-8"))

    write_atomically(path, write)


def write_temporary(path: str, write: Callable[[BinaryIO], None]) -> None:
    """First half of `write_unflushed`."""
    if not is_local(path):
        with _remote().create(path, compression_type=_UNCOMPRESSED) as stream:
            write(stream)
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("xb") as stream:
        write(stream)
        stream.flush()
        os.fsync(stream.fileno())


def rename(source: str, target: str) -> None:
    """Second half of `write_unflushed`: gives the temporary its name, replacing what has it.

    Raises:
        UnavailableError: as there.
    """
    try:
        if is_local(target):
            Path(source).replace(target)
        else:
            if _scheme(target) in _SCHEMES_THAT_NEVER_OVERWRITE:
                delete([target])
            _remote().rename([source], [target])
    except OSError as error:
        raise _not_written(target, error) from error


def flush_names(directory: str) -> None:
    """Flushes a local directory to the disk: which names are in it, and of what."""
    if not is_local(directory):
        return
    with suppress(OSError):  # some network filesystems cannot flush a directory
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_temporary(name: str) -> bool:
    """Whether a name is that of a temporary, which a killed process may have left behind."""
    return name.startswith(".") and name.endswith(".tmp")


def sweep(directory: str) -> None:
    """Deletes the temporaries that killed processes left. Only for a job that has the directory to itself."""
    delete(join(directory, name) for name in list_names(directory) if is_temporary(name))
