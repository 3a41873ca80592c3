"""Reads documents, queries, judgements and questions from Parquet, JSON lines, TSV and CSV, gzip or not, by rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.base import files
from transforms.base.errors import UserError, one_line
from transforms.base.json_lines import read_objects, whole
from transforms.base.text import JSON_LINES, reading
from transforms.base.trec import MAX_GRADE
from transforms.input.names import DOCUMENT_IDS, QUERY_IDS, TEXTS
from transforms.input.names import QUERIES as QUERY_TEXTS
from transforms.retrieval import tables

_BATCH_ROWS = 1024


@dataclass(frozen=True)
class RowKind:
    """One kind of row.

    Attributes:
        what: a row of it in words.
        fields: the names that each field goes by, the first one found counts.
        columns: number of columns of a table in text without a header -> what they are.
    """

    what: str
    fields: Mapping[str, tuple[str, ...]]
    columns: Mapping[int, tuple[str, ...]]


DOCUMENTS = RowKind(
    "document",
    {
        "doc_id": ("_id", *DOCUMENT_IDS, "id"),
        "text": TEXTS,
        "title": ("title",),
    },
    {2: ("_id", "text"), 3: ("_id", "title", "text")},
)
QUERIES = RowKind(
    "query",
    {"query_id": ("_id", *QUERY_IDS, "id"), "query": ("text", *QUERY_TEXTS)},
    {2: ("_id", "text")},
)
JUDGEMENTS = RowKind(
    "judgement",
    {
        "query_id": ("query-id", "query_id", "qid"),
        "doc_id": ("corpus-id", "corpus_id", "doc_id", "docid", "docno", "pid"),
        "grade": ("score", "relevance", "grade", "rel", "label"),
    },
    {3: ("query-id", "corpus-id", "score"), 4: ("query-id", "iteration", "corpus-id", "score")},
)
_NAMES = {name for kind in (DOCUMENTS, QUERIES, JUDGEMENTS) for names in kind.fields.values() for name in names}
_KNOWN = frozenset({"iteration", "iter", *_NAMES})
# Of the names of ids those that no text is likely to be.
_IDENTIFYING = frozenset(
    {*DOCUMENTS.fields["doc_id"], *QUERIES.fields["query_id"], *JUDGEMENTS.fields["query_id"]} - {"id"}
)
_OPTIONAL = "title"
_AS_KNOWN: Mapping[str, str] = MappingProxyType({})
_BETWEEN_FIELDS = frozenset("\t\n")  # and lines, of qrels

# MKQA's answer types that name no short answer (Longpre et al., TACL 2021), and all types in the order in which its
# Parquet form numbers them (the class labels of apple/mkqa on the hub).
MKQA_WITHOUT_ANSWER = frozenset({"unanswerable", "binary", "long_answer"})
MKQA_TYPES = (
    *("entity", "long_answer", "unanswerable", "date", "number", "number_with_unit", "short_phrase", "binary"),
)
# The corpus is English, so the English answers count whatever language asks (Izacard et al. 2021, preprocess_xmkqa.py).
MKQA_ANSWER_LANGUAGE = "en"


class Document(NamedTuple):
    """A row of a corpus; `text` is None where the row has none."""

    doc_id: str
    title: str | None
    text: str | None


class Judgement(NamedTuple):
    """A row of qrels."""

    query_id: str
    doc_id: str
    grade: int


class Question(NamedTuple):
    """A query of MKQA with the answer strings that count."""

    query_id: str
    query: str
    answers: list[str]


def documents(path: str, columns: Mapping[str, str] = _AS_KNOWN) -> Iterator[Document]:
    """Rows of a corpus.

    Args:
        path: of the file.
        columns: field -> column, of those that have other names.

    Raises:
        UserError: the file cannot be read, or a row has no id.
    """
    for where, row in _rows(path, _with(DOCUMENTS, columns), columns):
        yield Document(_identifier(row["doc_id"], where), _text(row["title"], where), _text(row["text"], where))


def queries(path: str, columns: Mapping[str, str] = _AS_KNOWN) -> Iterator[tuple[str, str]]:
    """Ids and texts of queries; arguments as of `documents`.

    Raises:
        UserError: the file cannot be read, or a row lacks one of them.
    """
    for where, row in _rows(path, _with(QUERIES, columns), columns):
        text = _text(row["query"], where)
        if text is None:
            raise UserError(f"{where}: the query's text is null; fix the file")
        yield _identifier(row["query_id"], where), text


def judgements(path: str, columns: Mapping[str, str] = _AS_KNOWN) -> Iterator[Judgement]:
    """Rows of qrels, in BEIR's form, TREC's, or Parquet; arguments as of `documents`, but columns of the known names
    are taken too, since ids are called otherwise in qrels than in the files that they refer to.

    Raises:
        UserError: the file cannot be read, or a row is malformed.
    """
    for where, row in _rows(path, _with(JUDGEMENTS, columns, also_known=True), columns):
        try:
            grade = int(row["grade"])
            if grade != float(row["grade"]) or "_" in str(row["grade"]) or abs(grade) > MAX_GRADE:
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise UserError(
                f"{where}: the grade {row['grade']!r} is not a whole number up to {MAX_GRADE}; fix the file"
            ) from None
        judgement = Judgement(_identifier(row["query_id"], where), _identifier(row["doc_id"], where), grade)
        for identifier in judgement[:2]:
            if not _BETWEEN_FIELDS.isdisjoint(identifier):
                raise UserError(
                    f"{where}: the id {identifier!r} has a tab or a line break, which qrels cannot hold; fix it"
                )
        yield judgement


def questions(path: str, language: str) -> Iterator[Question]:
    """MKQA's questions in a language that have a short answer, with their English answers and aliases.

    Raises:
        UserError: the file cannot be read, or is not MKQA.
    """
    for where, row in _raw_rows(path, {}, {}):
        try:
            answers = [answer for answer in row["answers"][MKQA_ANSWER_LANGUAGE] if _has_short_answer(answer)]
            strings = [text for answer in answers for text in [answer["text"], *(answer.get("aliases") or [])]]
            query = row["queries"][language]
        except (KeyError, TypeError, IndexError) as error:
            raise UserError(f"{where}: not in MKQA's format ({one_line(error)}); has the file changed?") from None
        if answers:
            distinct = [text for text in dict.fromkeys(strings) if text]
            yield Question(_identifier(row["example_id"], where), query, distinct)


def _has_short_answer(answer: Mapping[str, Any]) -> bool:
    kind = answer["type"]
    return (MKQA_TYPES[kind] if isinstance(kind, int) else kind) not in MKQA_WITHOUT_ANSWER


def _with(kind: RowKind, columns: Mapping[str, str], also_known: bool = False) -> RowKind:
    """The kind, where some fields have other names; those of tables in text may be in other letters."""
    named = {
        field: (columns[field], columns[field].lower(), *(names if also_known else ()))
        for field, names in kind.fields.items()
        if field in columns
    }
    return replace(kind, fields={**kind.fields, **named})


def _rows(path: str, kind: RowKind, columns: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row stands, in words, and its fields."""
    must = {*kind.fields} - ({_OPTIONAL} - columns.keys())
    for where, row in _raw_rows(path, kind.columns, columns):
        fields = {}
        for field, names in kind.fields.items():
            name = next((name for name in names if name in row), None)
            if name is None and field in must:
                columns_found = ", ".join(map(str, row)) or "nothing"
                known = " or ".join(dict.fromkeys(names))
                raise UserError(
                    f"{where}: a {kind.what} has no {known}, but {columns_found}; is this the right file? For a "
                    f"column of your own files give --columns {field}=COLUMN"
                )
            fields[field] = None if name is None else row[name]
        must.discard(_OPTIONAL)  # one row at least has it
        yield where, fields


def _raw_rows(
    path: str, unnamed: Mapping[int, tuple[str, ...]], columns: Mapping[str, str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    name = path.removesuffix(".gz")
    if name.endswith(".parquet"):
        return _parquet_rows(path)
    if name.endswith(JSON_LINES):
        return read_objects(path)
    return tables.rows(path, unnamed, _KNOWN, _IDENTIFYING, columns.values())


def _parquet_rows(path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    number = 0
    try:
        with reading(path), files.open_columns(path) as stream:
            for batch in pq.ParquetFile(stream, pre_buffer=False).iter_batches(_BATCH_ROWS, use_threads=False):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except pa.ArrowException as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)}); fetch or write it again") from error


def _identifier(value: Any, where: str) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value.strip() and value == whole(value):
        return value
    raise UserError(f"{where}: the id {value!r} is not valid; give a text that is not empty, or a whole number")


def _text(value: Any, where: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return whole(value)
    raise UserError(f"{where}: {value!r} is not text; fix the file")
