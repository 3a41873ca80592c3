"""A database on this machine's disk, for what may not fit into memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from transforms.base.errors import UnavailableError, shown
from transforms.base.temporary import temporary_folder

if TYPE_CHECKING:
    import duckdb


@contextmanager
def temporary_database(memory: str, *, keep_order: bool = True) -> Iterator[duckdb.DuckDBPyConnection]:
    """One that is gone when the context ends. DuckDB is imported here, since it takes 40 MB of a process.

    Args:
        memory: what it may hold in memory, such as "256MB"; what goes beyond is on the disk.
        keep_order: whether rows are read in the order in which they were written.

    Raises:
        UnavailableError: its disk is full, or fails.
    """
    import duckdb

    with temporary_folder() as folder:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory,
            "temp_directory": folder,
            "threads": 1,
            "preserve_insertion_order": keep_order,
        }
        try:
            with duckdb.connect(str(Path(folder) / "database.duckdb"), config=config) as connection:
                yield connection
        except duckdb.OperationalError as error:  # of memory too: what goes beyond it found no place on the disk
            problem = shown(str(error).partition("\n")[0])  # advice on DuckDB's own settings follows
            raise UnavailableError(
                f"temporary files in {tempfile.gettempdir()} cannot be written or read ({problem}); make room there, "
                "or set TMPDIR to a folder with more"
            ) from error
