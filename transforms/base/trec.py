"""Lines of TREC's files, for whatever reads one."""

from __future__ import annotations

import csv
import math

from transforms.base.errors import UserError

# trec_eval fills an array of this length for each query, so a document number read as a grade would cost gigabytes.
MAX_GRADE = 1000
RUN_FIELDS = ("query", "Q0", "document", "rank", "score", "tag")


def split_fields(line: bytes, count: int) -> list[bytes]:
    """The fields of a line: between tabs where that gives `count` of them (so an id may hold spaces), else between runs
    of ASCII white space, as trec_eval reads them."""
    fields = line.split(b"\t")
    return fields if len(fields) == count else line.split()


def split_csv(line: str) -> list[str]:
    """The fields between tabs of a line that the csv module or pandas wrote: in quotes where they hold a quote."""
    try:
        return next(csv.reader([line], delimiter="\t"))
    except csv.Error:  # a field beyond csv's limit
        return line.split("\t")


def unseparated(field: bytes) -> bytes:
    """A number's field itself; Python alone reads 1_0 as ten.

    Raises:
        ValueError: it has such a separator.
    """
    if b"_" in field:
        raise ValueError(field)
    return field


def parse_run_line(line: bytes, where: str) -> tuple[str, str, float]:
    """Query id, document id and score of a run's line. As for trec_eval the score alone counts, not the rank.

    Args:
        line: not blank, without its end.
        where: file and line in words, for errors.

    Raises:
        UserError: it has other fields, is not UTF-8, or its score is not finite.
    """
    fields = split_fields(line, len(RUN_FIELDS))
    if len(fields) != len(RUN_FIELDS):
        expected = f"{len(RUN_FIELDS)} fields, '{' '.join(RUN_FIELDS)}'"
        raise UserError(f"{where}: expected {expected}, found {len(fields)}; fix the line or give a TREC run")
    try:
        query_id, doc_id, score = fields[0].decode(), fields[2].decode(), float(unseparated(fields[4]))
    except UnicodeDecodeError:
        raise UserError(f"{where}: not UTF-8; convert the file") from None
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        shown = fields[4].decode(errors="replace")
        raise UserError(f"{where}: the score {shown!r} is not finite; fix the line")
    return query_id, doc_id, score
