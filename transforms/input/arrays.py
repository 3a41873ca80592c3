"""Small vectorised helpers on Arrow arrays, shared by all that reads the input."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

# What the 32-bit offsets of strings and lists count. Beyond, pyarrow's `take` (25.0.1) gives wrong ones silently.
MOST_BYTES = 2**31 - 1

# What `str.strip` removes, all in Unicode's first plane; Arrow's own notion of white space is another.
WHITESPACE = "".join(filter(str.isspace, map(chr, range(0x10000))))


def is_text(data_type: pa.DataType) -> bool:
    """Whether the type is an encoding of string."""
    if pa.types.is_dictionary(data_type):
        return is_text(data_type.value_type)
    if isinstance(data_type, pa.BaseExtensionType):  # JSON in a string, say
        return is_text(data_type.storage_type)
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(data_type) for is_kind in kinds)


def as_type(array: pa.Array, data_type: pa.DataType) -> pa.Array:
    """`array` in one of the types that the job computes with.

    Integers become decimal strings. One of uint64 that int64 does not hold becomes the largest that it does.
    """
    if array.type == data_type:
        return array
    if pa.types.is_dictionary(array.type):
        return as_type(array.dictionary_decode(), data_type)
    if isinstance(array, pa.ExtensionArray):
        return as_type(array.storage, data_type)
    if pa.types.is_uint64(array.type) and data_type == pa.int64():
        array = pc.min_element_wise(array, pa.scalar(2**63 - 1, pa.uint64()), skip_nulls=False)
    return array.cast(data_type, safe=False)


def mask(array: pa.Array) -> NDArray[np.bool_]:
    """A boolean array as numpy's, null as False."""
    known = array.fill_null(False) if array.null_count else array
    return np.asarray(known.to_numpy(zero_copy_only=False), dtype=np.bool_)


def nulls(array: pa.Array) -> NDArray[np.bool_]:
    return mask(array.is_null())


def objects(array: pa.Array) -> NDArray[np.object_]:
    """An array as Python's objects, null as None."""
    if array.null_count == len(array):
        return np.full(len(array), None, dtype=object)
    return np.array(array.to_pylist(), dtype=object)


def decodable(strings: pa.StringArray) -> tuple[pa.StringArray, NDArray[np.bool_]]:
    """`strings` with null for those that are not valid UTF-8, and a mask of those."""
    try:
        strings.validate(full=True)
    except pa.ArrowInvalid:
        bad = np.array([not _is_utf8(value) for value in strings.cast(pa.binary()).to_pylist()])
        return pc.if_else(pa.array(bad), None, strings), bad
    return strings, np.zeros(len(strings), np.bool_)


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def bytes_before(column: pa.Array, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes of a column's values before each of these places; 0 where they have no offsets."""
    if isinstance(column, pa.ExtensionArray):
        return bytes_before(column.storage, places)
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        lengths = pc.binary_length(column).fill_null(0).to_numpy(zero_copy_only=False)
        return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])[places]
    if pa.types.is_nested(column.type):
        return np.array([column.slice(0, place).nbytes for place in places.tolist()])
    return np.zeros(len(places), np.int64)


def blank(strings: pa.StringArray) -> NDArray[np.bool_]:
    """Which strings are empty or white space; null is neither. The strings must be valid UTF-8."""
    return mask(pc.equal(pc.utf8_trim(strings, characters=WHITESPACE), ""))


def usable_ids(ids: pa.StringArray) -> NDArray[np.bool_]:
    """Which ids can name something: not null, not blank, valid UTF-8."""
    valid, _ = decodable(ids)
    return ~nulls(valid) & ~blank(valid)


def run_starts(ids: pa.StringArray, previous: pa.StringScalar | None = None) -> NDArray[np.bool_]:
    """Which places of `ids` start a run of equal ids, when `previous` stands before them (None: nothing does).

    An id that names nothing (null, blank, not UTF-8) is a run of its own.
    """
    usable = usable_ids(ids)
    starts = np.ones(len(ids), np.bool_)
    starts[1:] = ~mask(pc.equal(ids.slice(1), ids.slice(0, max(len(ids) - 1, 0))))
    if previous is not None and len(ids):
        starts[0] = previous.as_buffer() != ids[0].as_buffer() if previous.is_valid and ids[0].is_valid else True
    return starts | ~usable
