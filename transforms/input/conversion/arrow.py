"""Arrow's record batches under the names that the reranking job knows, without a copy of what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.base.errors import UserError, one_line
from transforms.base.files import open_columns
from transforms.base.text import reading
from transforms.input.names import OF_CANDIDATE, ColumnNames

_BATCH_ROWS = 1024


class _Renamed:
    """A batch that says of itself that it has another schema, see the PyCapsule interface of Arrow's C data."""

    def __init__(self, batch: pa.RecordBatch, schema: pa.Schema) -> None:
        self._batch, self._schema = batch, schema

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self._schema.__arrow_c_schema__(), self._batch.__arrow_c_array__()[1]


def named(batch: pa.RecordBatch, chosen: Mapping[str, str]) -> pa.RecordBatch:
    """Some of a batch's columns, under the names that are keys of `chosen`."""
    return pa.RecordBatch.from_arrays([batch.column(column) for column in chosen.values()], names=list(chosen))


def read(path: str, names: ColumnNames) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file with other columns, flat or nested.

    Raises:
        UserError: the file cannot be read, or lacks a column.
    """
    with reading(path), open_columns(path) as stream:
        try:
            parquet = pq.ParquetFile(stream, pre_buffer=False, page_checksum_verification=True)
            known = KnownColumns(parquet.schema_arrow, names, path)
            yield known.empty()
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=known.read, use_threads=False):
                yield known.of(batch)
        except pa.ArrowException as error:
            raise UserError(f"{path}: cannot be read ({one_line(error)}); fetch or write it again") from None


class KnownColumns:
    """From a table's schema to the one that the reranking job reads."""

    def __init__(self, schema: pa.Schema, names: ColumnNames, where: str) -> None:
        """Find the columns.

        Args:
            schema: of the table.
            names: of its columns.
            where: the table, in words.

        Raises:
            UserError: one is missing.
        """
        self._chosen = names.find(names.fields(schema.names), schema.names, where)
        columns = list(schema.names)
        types = {name: schema.field(column).type for name, column in self._chosen.items()}
        if "candidates" in types and (entry := _entry(types["candidates"])) is not None:
            inner = [field.name for field in entry]
            columns += inner
            by_column = {column: name for name, column in names.find(OF_CANDIDATE, inner, where).items()}
            renamed = pa.struct([field.with_name(by_column.get(field.name, field.name)) for field in entry])
            types["candidates"] = _with_entry(types["candidates"], renamed)
        names.check_kept(columns, where)
        self.read = list(dict.fromkeys(self._chosen.values()))
        self.schema = pa.schema(list(types.items()))

    def of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch of the table."""
        return pa.record_batch(_Renamed(named(batch, self._chosen), self.schema))

    def empty(self) -> pa.RecordBatch:
        """No rows, with the schema."""
        return pa.RecordBatch.from_pylist([], schema=self.schema)


def _entry(lists: pa.DataType) -> pa.StructType | None:
    """The type of the entries of lists, if they are structs."""
    if not (pa.types.is_list(lists) or pa.types.is_large_list(lists) or pa.types.is_fixed_size_list(lists)):
        return None
    return lists.value_type if pa.types.is_struct(lists.value_type) else None


def _with_entry(lists: pa.DataType, entry: pa.StructType) -> pa.DataType:
    inner = lists.value_field.with_type(entry)
    if pa.types.is_fixed_size_list(lists):
        return pa.list_(inner, lists.list_size)
    return pa.large_list(inner) if pa.types.is_large_list(lists) else pa.list_(inner)
