"""Which queries a job has, with their judgements or answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from transforms.base.errors import UserError
from transforms.base.words import listed, number_of
from transforms.retrieval import records, step_files
from transforms.retrieval.source import DataSetFiles


@dataclass(frozen=True)
class Queries:
    """The queries of a job.

    Attributes:
        table: of schema `step_files.QUERIES`, numbered from 0 in the order of their file.
        judgements: query id -> document id -> grade; empty where the set has none.
        answers: query id -> answer strings (MKQA); empty for other sets.
    """

    table: pa.Table
    judgements: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    answers: Mapping[str, list[str]] = field(default_factory=dict)


def read(source: DataSetFiles) -> Queries:
    """The source's queries: those that are judged, where there are judgements, as BEIR's loader does; else all.

    Raises:
        UserError: a file is malformed, an id comes up twice, or a judged query is missing.
    """
    if source.question_language is not None:
        questions = [
            question for file in source.queries for question in records.questions(file.path, source.question_language)
        ]
        texts = _unique([(question.query_id, question.query) for question in questions], source)
        return Queries(_table(texts, source), answers={question.query_id: question.answers for question in questions})
    judged: dict[str, dict[str, int]] = {}
    for file in source.qrels:
        for judgement in records.judgements(file.path, file.columns):
            grades = judged.setdefault(judgement.query_id, {})
            if grades.setdefault(judgement.doc_id, judgement.grade) != judgement.grade:
                raise UserError(
                    f"{file.path}: query {judgement.query_id!r} has two grades for document {judgement.doc_id!r}, "
                    f"{grades[judgement.doc_id]} and {judgement.grade}; keep one"
                )
    texts = _unique(
        [
            (query_id, text)
            for file in source.queries
            for query_id, text in records.queries(file.path, file.columns)
            if not source.qrels or query_id in judged
        ],
        source,
    )
    if absent := [query_id for query_id in judged if query_id not in texts]:
        raise UserError(
            f"{source.name}: {number_of(len(absent), 'judged query is', 'judged queries are')} not among the queries, "
            f"{absent[0]!r} for one; do the files belong together?"
        )
    return Queries(_table(texts, source), judgements=judged)


def _unique(pairs: list[tuple[str, str]], source: DataSetFiles) -> dict[str, str]:
    texts = dict(pairs)
    if len(texts) < len(pairs):
        [(again, _)] = Counter(query_id for query_id, _ in pairs).most_common(1)
        paths = listed([file.name for file in source.queries])
        raise UserError(f"{paths}: query {again!r} comes up twice; keep it once")
    return texts


def _table(texts: Mapping[str, str], source: DataSetFiles) -> pa.Table:
    if not texts:
        raise UserError(f"{source.name}: no queries in {', '.join(file.name for file in source.queries)}")
    return pa.table([range(len(texts)), list(texts), list(texts.values())], schema=step_files.QUERIES)
