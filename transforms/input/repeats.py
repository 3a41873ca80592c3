"""Which of many ids come up again, exactly, whatever their number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.base.database import temporary_database

if TYPE_CHECKING:
    import duckdb

# What DuckDB may hold in memory; what goes beyond is on the local disk meanwhile. Ten million ids of 60 bytes take 457
# MiB of the process in all.
_MEMORY = "256MB"
_INSERT_IDS = 1 << 16
_IDS = pa.schema([pa.field("place", pa.int64()), pa.field("id", pa.binary())])


class Repeats:
    """Finds which of the added ids come up again. An id is known by its place.

    Few ids are kept here, since DuckDB takes 40 MB to begin with; from _INSERT_IDS on it has them.
    """

    def __init__(self, opened: ExitStack) -> None:
        """Begin without ids; what is opened closes the database."""
        self._opened = opened
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._waiting: list[pa.Table] = []
        self._ids_waiting = 0

    def add(self, first_place: int, ids: pa.StringArray, wanted: NDArray[np.bool_]) -> None:
        """Adds those ids that are wanted; the first of all stands at `first_place`."""
        places = np.flatnonzero(wanted)
        # Bytes, since the database checks that strings are UTF-8 once more.
        new = [pa.array(first_place + places), ids.take(pa.array(places)).cast(pa.binary())]
        self._waiting.append(pa.table(new, schema=_IDS))
        self._ids_waiting += len(places)
        if self._ids_waiting >= _INSERT_IDS:
            self._insert()

    def forget(self, start: int, stop: int) -> None:
        """Takes out the ids at places `start` to `stop` (half-open)."""
        place = pc.field("place")
        self._waiting = [self._in_memory().filter((place < start) | (place >= stop))]
        self._ids_waiting = len(self._waiting[0])
        if self._connection is not None:
            self._connection.execute("DELETE FROM ids WHERE place >= ? AND place < ?", [start, stop])

    def find(self) -> NDArray[np.int64]:
        """Places, ascending, of the ids that have been at an earlier place."""
        if self._connection is None:
            return _repeated(self._in_memory())
        self._insert()
        self._connection.execute(
            "SELECT place FROM (SELECT place, min(place) OVER (PARTITION BY id) AS first FROM ids)"
            " WHERE place > first ORDER BY place"
        )
        return np.asarray(self._connection.fetchnumpy()["place"], dtype=np.int64)

    def _in_memory(self) -> pa.Table:
        return pa.concat_tables([_IDS.empty_table(), *self._waiting])

    def _insert(self) -> None:
        if self._connection is None:
            self._connection = self._opened.enter_context(temporary_database(_MEMORY))
            self._connection.execute("CREATE TABLE ids (place BIGINT, id BLOB)")
        self._connection.register("new", self._in_memory())
        self._connection.execute("INSERT INTO ids SELECT place, id FROM new")
        self._connection.unregister("new")
        self._waiting, self._ids_waiting = [], 0


def _repeated(ids: pa.Table) -> NDArray[np.int64]:
    """What `Repeats.find` gives of ids that are in memory, in the order of their places."""
    numbers = ids["id"].combine_chunks().dictionary_encode().indices.to_numpy()  # by the first place of each id
    before = np.maximum.accumulate(np.concatenate([[-1], numbers]))[:-1]
    places: NDArray[np.int64] = ids["place"].to_numpy()[numbers <= before]
    return places


@contextmanager
def finding_repeats() -> Iterator[Repeats]:
    """Repeats whose database, if it comes to need one, is gone at the end."""
    with ExitStack() as opened:
        yield Repeats(opened)
