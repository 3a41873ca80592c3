"""Columns that are carried to the output as they are: in which type, and which cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.base.errors import UserError
from transforms.input.arrays import is_text

_LISTS: dict[str, Callable[[pa.Field], pa.DataType]] = {
    "list": pa.list_,
    "large_list": pa.large_list,
    "list_view": pa.list_view,
    "large_list_view": pa.large_list_view,
}


class ColumnTypes(NamedTuple):
    """One column's type as the writer noted it for Arrow, and in Parquet's own types."""

    noted: pa.DataType
    plain: pa.DataType


def is_list(data_type: pa.DataType) -> bool:
    """Whether the type is one of Arrow's lists."""
    return any(_is_named(data_type, name) for name in (*_LISTS, "fixed_size_list"))


def needs_plain(types: ColumnTypes) -> bool:
    """Whether a column that is carried has to be read in Parquet's own types: pyarrow before 26 cannot read nulls in
    lists of a fixed size in those that the writer noted, and of some of these it can neither pick rows nor convert."""
    return not _is_carried(types.noted, _written(types.noted))


def carried_type(types: ColumnTypes, plain: bool) -> pa.DataType:
    """The type of a carried column in the output.

    It is the noted type, where encodings of string are string, and views and dictionaries what they are of; where a
    column that is read in Parquet's own types cannot be brought back to that, theirs.

    Args:
        types: of the column.
        plain: whether it is read in Parquet's own types.
    """
    written = _written(types.noted)
    return written if not plain or _is_carried(types.plain, written) else _written(types.plain)


def as_kept(name: str, array: pa.Array, data_type: pa.DataType) -> pa.Array:
    """The column `name` in the type in which it is carried.

    Raises:
        UserError: it has more values than the type counts, though the writer noted that.
    """
    if array.type == data_type:
        return array
    if _has(data_type, pa.types.is_dictionary):  # pyarrow writes numbers beyond its type, and ends the process
        raise UserError(f"column {name!r} has more values than {data_type} counts; convert it")
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return array.cast(data_type, safe=False)


def _written(data_type: pa.DataType) -> pa.DataType:
    if isinstance(data_type, pa.BaseExtensionType):
        return data_type
    return pa.string() if is_text(data_type) else _decoded(data_type)


def _decoded(data_type: pa.DataType) -> pa.DataType:
    """The type with what is viewed in place of views, which pyarrow cannot pick rows of, and with values in place of
    dictionaries, whose number may be more than the writer noted that their type counts."""
    if isinstance(data_type, pa.BaseExtensionType) or not _has(data_type, _is_encoded):
        return data_type
    if pa.types.is_dictionary(data_type):
        return _decoded(data_type.value_type)
    if _is_encoded(data_type):
        return pa.string() if pa.types.is_string_view(data_type) else pa.binary()
    inner = [data_type.field(i).with_type(_decoded(data_type.field(i).type)) for i in range(data_type.num_fields)]
    if pa.types.is_struct(data_type):
        return pa.struct(inner)
    if pa.types.is_map(data_type):
        return pa.map_(*(field.type for field in inner[0].type))
    if pa.types.is_fixed_size_list(data_type):
        return pa.list_(inner[0], data_type.list_size)
    return next(make(inner[0]) for name, make in _LISTS.items() if _is_named(data_type, name))


def _is_named(data_type: pa.DataType, name: str) -> bool:
    return bool(getattr(pa.types, f"is_{name}")(data_type))


def _is_encoded(data_type: pa.DataType) -> bool:
    kinds = (pa.types.is_string_view, pa.types.is_binary_view, pa.types.is_dictionary)
    return any(is_kind(data_type) for is_kind in kinds)


def _has(data_type: pa.DataType, is_kind: Callable[[pa.DataType], bool]) -> bool:
    return any(map(is_kind, _all_in(data_type)))


def _all_in(data_type: pa.DataType) -> Iterator[pa.DataType]:
    """The type, and all within it."""
    yield data_type
    if isinstance(data_type, pa.BaseExtensionType):
        yield from _all_in(data_type.storage_type)
    elif pa.types.is_dictionary(data_type):
        yield from _all_in(data_type.value_type)
    else:
        for i in range(data_type.num_fields):
            yield from _all_in(data_type.field(i).type)


@lru_cache(maxsize=256)
def _is_carried(read: pa.DataType, target: pa.DataType) -> bool:
    """Whether pyarrow does all to a column that carrying it takes, and can read what it wrote."""
    if read != target and _is_lossy(target):
        return False
    if _has(target, pa.types.is_fixed_size_list) and not _reads_null_lists_of_fixed_size():
        return False
    try:
        kept = as_kept("", pa.nulls(1, read), target)
        rows = pa.concat_arrays([kept, kept]).take(pa.array([1, 0]))
        pq.write_table(pa.table({"column": rows}), pa.BufferOutputStream())
    except (pa.ArrowException, TypeError, UserError):
        return False
    return True


@cache
def _reads_null_lists_of_fixed_size() -> bool:
    """Whether pyarrow reads what it writes of such lists with nulls: from 26 on."""
    stream = pa.BufferOutputStream()
    try:
        pq.write_table(pa.table({"column": pa.array([[1], None], pa.list_(pa.int8(), 1))}), stream)
        pq.read_table(pa.BufferReader(stream.getvalue()))
    except pa.ArrowException:
        return False
    return True


def _is_lossy(target: pa.DataType) -> bool:
    """Whether pyarrow's conversion to a type goes wrong for some values: dictionaries of more values than their type
    counts, null lists of a fixed size in a struct, and fields of nulls alone, which lose their length."""
    inner = list(_all_in(target))[1:]
    fragile = (pa.types.is_fixed_size_list, pa.types.is_null, pa.types.is_dictionary)
    return pa.types.is_dictionary(target) or any(is_kind(part) for part in inner for is_kind in fragile)
