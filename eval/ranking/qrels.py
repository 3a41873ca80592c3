"""Reads relevance judgements (qrels) in TREC's and in BEIR's form. Knows nothing of runs or measures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from transforms.base.errors import UserError
from transforms.base.text import read_lines
from transforms.base.trec import MAX_GRADE, split_csv, split_fields, unseparated


class LineFormat(NamedTuple):
    """One way of writing a judgement on a line: its fields in order, and the places of those that are read."""

    fields: tuple[str, ...]
    query: int
    document: int
    grade: int
    csv: bool = False


TREC = LineFormat(("query", "iteration", "document", "grade"), query=0, document=2, grade=3)
BEIR = LineFormat(("query-id", "corpus-id", "score"), query=0, document=1, grade=2)
BEIR_HEADER = b"score"  # how the first line ends where it is a header; csv follows it
ESCAPE = "surrogateescape"  # keeps bytes that are not UTF-8 as they are


@dataclass(frozen=True)
class Judgements:
    """What a qrels file says.

    Attributes:
        grades: query id -> document id -> grade; a grade above 0 is relevant.
        repeated: lines that give an earlier judgement again.
    """

    grades: dict[str, dict[str, int]]
    repeated: int


def read_qrels(location: str) -> Judgements:
    """Reads a qrels file, plain or gzip. Three fields between tabs on the first line mean BEIR's form, else TREC's.

    Raises:
        UserError: the file cannot be read, is empty, has a malformed line, or gives one pair two different grades.
    """
    grades: dict[str, dict[str, int]] = {}
    repeated = 0
    contradictions: list[str] = []
    layout: LineFormat | None = None
    for number, line in read_lines(location):
        where = f"{location}: line {number}"
        if layout is None:
            layout = BEIR if line.count(b"\t") == 2 else TREC
            if layout is BEIR and line.strip().lower().rstrip(b'"').endswith(BEIR_HEADER):
                layout = BEIR._replace(csv=True)
                continue
        query, document, grade = _parse(line, layout, where)
        judged = grades.setdefault(query, {})
        if document not in judged:
            judged[document] = grade
        elif judged[document] == grade:
            repeated += 1
        else:
            contradictions.append(
                f"{where}: document {document!r} of query {query!r} has grade {grade} here, {judged[document]} before"
            )
    if contradictions:
        raise UserError(f"{contradictions[0]}; keep one of them (such lines: {len(contradictions)})")
    if not grades:
        raise UserError(f"{location}: no judgements in it; give a file of lines '{' '.join(TREC.fields)}'")
    return Judgements(grades, repeated)


def _parse(line: bytes, layout: LineFormat, where: str) -> tuple[str, str, int]:
    """Query id, document id and grade of one line."""
    if layout.csv and b'"' in line:
        fields = [field.encode(errors=ESCAPE) for field in split_csv(line.decode(errors=ESCAPE))]
    else:
        fields = split_fields(line, len(layout.fields))
    if len(fields) != len(layout.fields):
        expected = f"{len(layout.fields)} fields, '{' '.join(layout.fields)}'"
        raise UserError(f"{where}: expected {expected}, found {len(fields)}; fix the line or give a qrels file")
    try:
        grade = int(unseparated(fields[layout.grade]))
        query, document = fields[layout.query].decode(), fields[layout.document].decode()
    except UnicodeDecodeError:
        raise UserError(f"{where}: not UTF-8; convert the file") from None
    except ValueError:
        shown = fields[layout.grade].decode(errors="replace")
        raise UserError(f"{where}: the grade {shown!r} is not a whole number; fix the line") from None
    if abs(grade) > MAX_GRADE:
        raise UserError(f"{where}: the grade {grade} is beyond {MAX_GRADE}; are the columns in another order?")
    return query, document, grade
