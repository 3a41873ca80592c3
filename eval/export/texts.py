"""The two tables of texts of the id layout: each query and each document once, however many lists have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from eval.export.lists import ScoredList
from transforms.base import files
from transforms.base.database import temporary_database
from transforms.base.errors import UserError

if TYPE_CHECKING:
    import duckdb

BATCH = 10_000  # texts held in memory
KNOWN = 250_000  # texts that are known to be there already, so as not to go through the database
MEMORY = "96MB"  # of the database; beyond it, its data are on disk
# Table -> its file and the name of its ids.
TABLES: Mapping[str, tuple[str, str]] = {
    "queries": ("queries.parquet", "query_id"),
    "documents": ("documents.parquet", "document_id"),
}


_STORED = pa.schema([("id", pa.string()), ("text", pa.string()), ("digest", pa.binary())])


class TextTables:
    """Collects ids with their texts, and writes each once."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._waiting: dict[str, tuple[list[str], list[str], list[bytes]]] = {name: ([], [], []) for name in TABLES}
        self._known: set[bytes] = set()
        for name in TABLES:
            connection.execute(f"CREATE TABLE {name} (id VARCHAR, text VARCHAR, digest BLOB)")

    def add(self, scored: ScoredList) -> None:
        """Take a list's query and documents."""
        self._extend("queries", [(scored.query_id, scored.query)])
        self._extend("documents", zip(scored.documents, scored.texts, strict=True))

    def _extend(self, name: str, pairs: Iterable[tuple[str, str]]) -> None:
        ids, texts, digests = self._waiting[name]
        for id_, text in pairs:
            digest = blake2b(f"{name} {len(id_)} {id_}{text}".encode(), digest_size=16).digest()
            if digest not in self._known:
                ids.append(id_)
                texts.append(text)
                digests.append(digest)
                if len(self._known) < KNOWN:
                    self._known.add(digest)
        if len(ids) >= BATCH:
            self._insert(name)

    def _insert(self, name: str) -> None:
        new = pa.table(dict(zip(("id", "text", "digest"), self._waiting[name], strict=True)), schema=_STORED)
        self._connection.register("new", new)
        self._connection.execute(f"INSERT INTO {name} SELECT id, text, digest FROM new")
        self._connection.unregister("new")
        self._waiting[name] = ([], [], [])

    def check(self) -> None:
        """Make sure that each id has one text.

        Raises:
            UserError: an id has two different texts, so that ids alone do not say what was scored.
        """
        for name, (_, id_name) in TABLES.items():
            self._insert(name)
            twice = self._connection.execute(
                f"SELECT id FROM {name} GROUP BY id HAVING min(digest) <> max(digest) LIMIT 1"
            ).fetchone()
            if twice is not None:
                raise UserError(
                    f"--format ids: {id_name} {twice[0]!r} has different texts in different lists; "
                    "give another format, or other ids"
                )

    def write(self, folder: str, types: Mapping[str, pa.DataType]) -> dict[str, int]:
        """Write the tables, once they are checked, into a folder; returns the rows of each.

        Ids that are not text have their types in `types`.
        """
        return {name: self._write(name, folder, types) for name in TABLES}

    def _write(self, name: str, folder: str, types: Mapping[str, pa.DataType]) -> int:
        file, id_name = TABLES[name]
        rows: pa.RecordBatchReader = self._connection.sql(
            f"SELECT id AS {id_name}, text FROM {name} WHERE rowid IN (SELECT min(rowid) FROM {name} GROUP BY id)"
        ).to_arrow_reader(BATCH)
        schema, counted = pa.schema({id_name: types.get(id_name, pa.string()), "text": pa.string()}), 0

        def write(stream: BinaryIO) -> None:
            nonlocal counted
            with pq.ParquetWriter(stream, schema) as writer:
                for batch in rows:
                    counted += batch.num_rows
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))

        files.write_atomically(files.join(folder, file), write)
        return counted


@contextmanager
def collected() -> Iterator[TextTables]:
    """A place for texts on this machine's disk, gone when the context ends."""
    with temporary_database(MEMORY) as connection:
        yield TextTables(connection)
