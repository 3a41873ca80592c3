"""The names that columns go by in users' files, and those that a user gives with --columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from transforms.base.errors import UserError

QUERY_IDS = ("query_id", "query-id", "qid")
QUERIES = ("query", "question", "query_text")
DOCUMENT_IDS = ("doc_id", "docid", "docno", "pid", "corpus-id", "corpus_id")
TEXTS = ("text", "passage")
# Column of the reranking job's input -> the names that it goes by in text files; the first one found counts.
ACCEPTED: Mapping[str, tuple[str, ...]] = {
    "query_id": QUERY_IDS,
    "query": QUERIES,
    "doc_id": DOCUMENT_IDS,
    "text": TEXTS,
    "title": ("title",),
    "score": ("score",),
    "rank": ("rank",),
    "instruction": ("instruction",),
    "candidates": ("candidates",),
}
# What users' documents, queries and judgements have, each in files of its own.
OF_FILES = ("doc_id", "text", "title", "query_id", "query", "grade")
# What a level of the input must have: of rows with a list, its entries, and rows of pairs.
OF_QUERY = ("query_id", "query", "instruction")
OF_CANDIDATE = ("doc_id", "text", "title", "score", "rank")
REQUIRED = frozenset({"query_id", "query", "doc_id", "text"})
# What to do with files of documents or of queries alone.
OF_CANDIDATES = (
    "if these are documents or queries, give them to `python -m pipelines.candidates --corpus FILE --queries FILE`"
)
# No text is likely to be one of these, so a first line that has one is a header.
IDENTIFYING = frozenset({*QUERY_IDS, *DOCUMENT_IDS})


def parse_columns(words: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Field -> column, of words such as "doc_id=pid".

    Args:
        words: of --columns.
        known: the fields that there are.

    Raises:
        UserError: a word has another form, or names a field that is unknown or named before.
    """
    columns: dict[str, str] = {}
    for word in words:
        name, equals, column = word.partition("=")
        if not equals or not column:
            raise UserError(f"--columns {word}: give FIELD=COLUMN, such as doc_id=pid")
        if name not in known or name in columns:
            problem = "appears twice" if name in columns else "is no field"
            raise UserError(f"--columns {word}: {name!r} {problem}; fields are {', '.join(known)}")
        columns[name] = column
    return columns


@dataclass(frozen=True)
class ColumnNames:
    """What the columns of a user's file are called.

    Attributes:
        columns: field -> column, of --columns.
        keep: other columns to carry.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    keep: tuple[str, ...] = ()

    def accepted(self, name: str) -> tuple[str, ...]:
        """The names that a field may have, best first."""
        return (self.columns[name],) if name in self.columns else ACCEPTED[name]

    def fields(self, columns: Collection[str]) -> tuple[str, ...]:
        """The fields of rows with these columns: one for each query where there are candidates, else one for a pair."""
        return (*OF_QUERY, *(OF_CANDIDATE if self._missing("candidates", columns) else ("candidates",)))

    def find(self, fields: Iterable[str], columns: Collection[str], where: str) -> dict[str, str]:
        """Field -> column, of the fields that are there; and of each column to keep itself.

        Raises:
            UserError: a field that must be there, or one that --columns names, is not.
        """
        chosen: dict[str, str] = {}
        for name in fields:
            if not self._missing(name, columns):
                chosen[name] = next(column for column in self.accepted(name) if column in columns)
            elif name in self.columns:
                raise UserError(f"{where}: no column {self.columns[name]!r} (--columns); it has {_listed(columns)}")
            elif name in REQUIRED:
                raise UserError(
                    f"{where}: no column {' or '.join(self.accepted(name))}; it has {_listed(columns)}; name it with "
                    f"--columns {name}=COLUMN, or, {OF_CANDIDATES}"
                )
        return chosen | {name: name for name in self.keep if name in columns and name not in chosen}

    def check_kept(self, columns: Collection[str], where: str) -> None:
        """Make sure that all columns to keep are there.

        Raises:
            UserError: one is not.
        """
        for name in self.keep:
            if name not in columns:
                raise UserError(f"{where}: no column {name!r} to keep; it has {_listed(columns)}")

    def _missing(self, name: str, columns: Collection[str]) -> bool:
        return set(self.accepted(name)).isdisjoint(columns)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(str, names)) or "none"
