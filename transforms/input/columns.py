"""Which columns of an input file the job reads, and whether they are what they should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from transforms.base.errors import UserError
from transforms.input.arrays import is_text
from transforms.input.kept import ColumnTypes, carried_type, is_list, needs_plain
from transforms.input.names import OF_CANDIDATES
from transforms.input.parquet import ParquetInput
from transforms.schema import SCORED

RowLayout = Literal["nested", "flat"]


def _is_integer(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(data_type))


def _is_number(data_type: pa.DataType) -> bool:
    return any(is_kind(data_type) for is_kind in (_is_integer, pa.types.is_floating, pa.types.is_decimal))


def _is_id(data_type: pa.DataType) -> bool:
    return _is_integer(data_type) or is_text(data_type)


# column -> what its type must be, in words and as a test, and a type of SQL to convert it to
_Kind = tuple[str, Callable[[pa.DataType], bool], str]
_ID: _Kind = ("a string or an integer", _is_id, "VARCHAR")
_TEXT: _Kind = ("a string", is_text, "VARCHAR")
_QUERY: dict[str, _Kind] = {"query_id": _ID, "query": _TEXT, "instruction": _TEXT}
_CANDIDATE: dict[str, _Kind] = {
    "doc_id": _ID,
    "text": _TEXT,
    "title": _TEXT,
    "score": ("a number", _is_number, "DOUBLE"),
    "rank": ("an integer", _is_integer, "BIGINT"),
}
_OPTIONAL = {"instruction", "title", "score", "rank"}

# Metadata key of the files that the job itself regroups, and what their fields of its own are prefixed with.
REGROUPED = b"rerank.regrouped"
INTERNAL = "__rerank_"


@dataclass(frozen=True)
class Columns:
    """The columns that are read from one file, by level, each with its type: in the file, or as it is carried.

    Attributes:
        layout: one row per query (nested) or per pair (flat).
        query: top-level columns that say something of the query.
        candidate: fields of the candidates' struct; in the flat layout top-level columns.
        kept_query, kept_candidate: those to carry to the output, each also in the mapping above.
        prefix: what stands before a candidate's field in the path of its Parquet column; empty in the flat layout, and
            where lists that are all empty or null were written without the type of their entries.
        plain: whether they are read in Parquet's own types, see `transforms.input.parquet.batches`.
    """

    layout: RowLayout
    query: Mapping[str, pa.DataType]
    candidate: Mapping[str, pa.DataType]
    kept_query: tuple[str, ...] = ()
    kept_candidate: tuple[str, ...] = ()
    prefix: str = ""
    plain: bool = False

    @property
    def kept_query_types(self) -> dict[str, pa.DataType]:
        return _select(self.query, self.kept_query)

    @property
    def kept_candidate_types(self) -> dict[str, pa.DataType]:
        return _select(self.candidate, self.kept_candidate)

    def paths(self) -> list[str]:
        """Paths of the Parquet columns to read."""
        if self.layout == "nested" and not self.prefix:
            return [*self.query, "candidates"]
        return list(dict.fromkeys([*self.query, *(self.prefix + name for name in self.candidate)]))


def resolve(parquet: ParquetInput, keep_columns: Sequence[str] = ()) -> Columns:
    """Finds the columns that the job reads in a file's schema, and checks their types.

    Raises:
        UserError: a column is missing, there twice, or of a wrong type, or one cannot be kept.
    """
    path, arrow = parquet.source, parquet.noted.schema_arrow
    wanted = [*_QUERY, *_CANDIDATE, "candidates", *keep_columns]
    top = _by_name(path, arrow, "column", wanted)
    nested = "candidates" in top
    if not nested and "doc_id" not in top:
        raise UserError(
            f'{path}: no column "candidates" (one row per query) nor "doc_id" (one row per pair); it has '
            f"{_names(top)}; rename one, or give pipelines.rerank --columns candidates=COLUMN or doc_id=COLUMN, or, "
            f"{OF_CANDIDATES}"
        )
    fields, prefix = _candidate_fields(parquet, top["candidates"], wanted) if nested else (top, "")
    if fields is None:
        fields = {name: pa.null() for name in [*_CANDIDATE, *keep_columns] if name not in top}
    _check(path, "column", top, _QUERY)
    _check(path, "candidates field" if nested else "column", fields, _CANDIDATE)
    for name in keep_columns:
        _check_kept(path, name, top, fields if nested else {})

    kept_query = tuple(name for name in dict.fromkeys(keep_columns) if nested and name in top)
    kept_candidate = tuple(name for name in dict.fromkeys(keep_columns) if name not in kept_query)
    is_own = REGROUPED in (arrow.metadata or {})
    own = [name for name in {**top, **fields} if is_own and name.startswith(INTERNAL)]
    carried = _types(parquet, top, kept_query, fields, kept_candidate, prefix) if keep_columns else {}
    plain = any(map(needs_plain, carried.values())) or (nested and pa.types.is_fixed_size_list(top["candidates"]))
    kept = {name: carried_type(types, plain) for name, types in carried.items()}
    return Columns(
        layout="nested" if nested else "flat",
        query=_select(top | kept, [*_QUERY, *kept_query, *own]),
        candidate=_select(fields | kept, [*_CANDIDATE, *kept_candidate, *own]),
        kept_query=kept_query,
        kept_candidate=kept_candidate,
        prefix=prefix,
        plain=plain,
    )


def _types(
    parquet: ParquetInput,
    top: Mapping[str, pa.DataType],
    kept_query: Iterable[str],
    fields: Mapping[str, pa.DataType],
    kept_candidate: Iterable[str],
    prefix: str,
) -> dict[str, ColumnTypes]:
    """Of the columns to keep."""
    plain_top = {field.name: field.type for field in parquet.plain.schema_arrow}
    plain_fields = {field.name: field.type for field in plain_top["candidates"].value_type} if prefix else plain_top
    return {name: ColumnTypes(top[name], plain_top[name]) for name in kept_query} | {
        name: ColumnTypes(fields[name], plain_fields.get(name, fields[name])) for name in kept_candidate
    }


def _select(types: Mapping[str, pa.DataType], names: Iterable[str]) -> dict[str, pa.DataType]:
    return {name: types[name] for name in dict.fromkeys(names) if name in types}


def _by_name(
    path: str, fields: pa.Schema | pa.StructType, what: str, wanted: Collection[str]
) -> dict[str, pa.DataType]:
    counts = Counter(field.name for field in fields)
    for name in wanted:
        if counts[name] > 1:
            raise UserError(f"{path}: {what} {name!r} appears twice; leave one")
    return {field.name: field.type for field in fields}


def _candidate_fields(
    parquet: ParquetInput, candidates: pa.DataType, wanted: Collection[str]
) -> tuple[dict[str, pa.DataType] | None, str]:
    """The fields of the candidates' struct (None where the file has no type for them) and the prefix of their paths."""
    path, schema = parquet.source, parquet.metadata.schema
    if is_list(candidates):
        if pa.types.is_null(candidates.value_type):
            return None, ""
        if pa.types.is_struct(candidates.value_type):
            # The writer's choice of names lies between: candidates.list.element, candidates.bag.array_element, ...
            paths = [schema.column(i).path for i in range(len(schema))]
            ends = [p for p in paths if p.startswith("candidates.") and p.endswith(".doc_id")]
            prefix = min(ends, key=len, default="").removesuffix("doc_id")
            return _by_name(path, candidates.value_type, "candidates field", wanted), prefix
    elif pa.types.is_null(candidates):
        return None, ""
    raise UserError(
        f'{path}: column "candidates" is {candidates}, not a list of structs; give one row per query with '
        "list<struct<doc_id, text, ...>>, or one row per pair without that column"
    )


def _check(path: str, what: str, types: Mapping[str, pa.DataType], kinds: Mapping[str, _Kind]) -> None:
    for name, (words, is_right, sql_type) in kinds.items():
        if name not in types and name not in _OPTIONAL:
            raise UserError(
                f"{path}: no {what} {name!r}; it has {_names(types)}; rename one, or give pipelines.rerank --columns "
                f"{name}=COLUMN"
            )
        # A column of nulls alone has no type; its rows are null like any other's.
        if name in types and not (is_right(types[name]) or pa.types.is_null(types[name])):
            raise UserError(
                f"{path}: {what} {name!r} is {types[name]}, not {words}; convert it, in SQL CAST({name} AS {sql_type})"
            )


def _check_kept(path: str, name: str, top: Mapping[str, pa.DataType], fields: Mapping[str, pa.DataType]) -> None:
    if name in SCORED.names:
        raise UserError(f"--keep_columns {name}: the output has a column of that name already; leave it out")
    if name not in {*top, *fields} - {"candidates"}:
        raise UserError(
            f"{path}: no column {name!r} to keep, of the query or of the candidates; it has {_names([*top, *fields])}"
        )
    if name in top and name in fields:
        raise UserError(f"--keep_columns {name}: both the query and the candidates have it in {path}; rename one")


def _names(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
