"""Reads what is to be measured: a job's output directory or a TREC run. Knows nothing of judgements or measures."""

from __future__ import annotations

import fnmatch
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.base import files
from transforms.base.errors import UserError, one_line
from transforms.base.json_text import parse
from transforms.base.text import read_lines, reading
from transforms.base.trec import parse_run_line
from transforms.layout import JOB, PART_PATTERN, REJECTED_DIRECTORY, REPORT, SCORED_DIRECTORY, SUCCESS, input_path
from transforms.output.verification import shards_said
from transforms.schema import IN_INPUT_ORDER, RECORD_KEY

# The order in which a job was given the candidates is a first stage's where they have ranks or scores.
FIRST_STAGE, INPUT_ORDER, RERANKED, RUN = "first_stage", "input_order", "reranked", "run"

SCORED = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("first_stage_rank", pa.int32()),
    ]
)
REJECTED = pa.schema([pa.field("query_id", pa.string()), pa.field("doc_id", pa.string())])


class QueryRankings(NamedTuple):
    """One query's candidates: for each stage its (score, document id) pairs, in any order, higher scores better."""

    query_id: str
    stages: dict[str, list[tuple[float, str]]]


@dataclass(frozen=True)
class RankedLists:
    """Candidate lists to measure.

    Attributes:
        stages: the rankings that every list has, earlier ones first.
        lists: one for each query; can be read once.
        notes: what a reader of the figures must know of the source.
        job: what job.json says; empty where there is none.
    """

    stages: tuple[str, ...]
    lists: Iterator[QueryRankings]
    notes: list[str] = field(default_factory=list)
    job: dict[str, Any] = field(default_factory=dict)


def open_source(location: str) -> RankedLists:
    """The candidate lists of a job's output directory, or of a TREC run (plain or gzip).

    Raises:
        UserError: nothing is there, or it is neither; and, while the lists are read, what is wrong with them.
    """
    with reading(location):
        if files.is_directory(location):
            return _open_job(location)
        if not files.exists(location):
            raise UserError(f"{location}: not found; give a job's output directory or a TREC run")
    return RankedLists((RUN,), _read_run(location))


def nothing_in(location: str) -> UserError:
    """That a source has no list."""
    what = "its job has scored no pair" if files.is_directory(location) else "no candidates in it"
    return UserError(f"{location}: {what}; give one that has")


def _open_job(location: str) -> RankedLists:
    """A job's lists: the reranked order and, where the output has it whole, the first stage's."""
    scored = _parts(files.join(location, SCORED_DIRECTORY))
    if not scored and files.exists(files.join(location, JOB)):
        raise nothing_in(location)
    if not scored:
        raise UserError(
            f"{location}: no {SCORED_DIRECTORY}/{PART_PATTERN} in it; give the directory that the job's --output named"
        )
    finished = files.exists(files.join(location, SUCCESS))
    if finished and len(scored) < (shards_said(location) or 0):
        raise UserError(
            f"{location}: {len(scored)} of the {shards_said(location)} parts that {REPORT} counts are there; give the "
            "job's command again"
        )
    # A rejected part without its scored part is not yet committed.
    parts = _parts(files.join(location, REJECTED_DIRECTORY))
    rejected = {name: part for name, part in parts.items() if name in scored}
    rejected_rows = sum(map(_row_count, rejected.values()))
    unranked = sum(map(_unranked, scored.values()))
    before = INPUT_ORDER if _is_in_input_order(scored.values()) else FIRST_STAGE
    job = _read_json(files.join(location, JOB))
    for file in job.get("inputs", []):
        file["path"] = input_path(location, file["path"])
    top_k = job.get("options", {}).get("top_k")

    notes = []
    if not finished:
        notes.append("the job has not finished (no _SUCCESS): queries not yet scored count as without candidates")
    if rejected_rows:
        notes.append(
            f"rejected input rows: {rejected_rows:,}; the first stage keeps rejected candidates, last in their lists; "
            "the reranked lists lack them"
        )
    if top_k is not None:
        notes.append(
            f"the job kept the best {top_k} of each list (--top_k): recall ends there, and the first stage, whose "
            "other candidates are not in the output, is not shown"
        )
    elif unranked:
        notes.append(f"candidates without first_stage_rank: {unranked}; the first stage is not shown")
    elif before == INPUT_ORDER:
        notes.append("no candidate has a rank or a score: beside the reranked order stands the order of the input")
    stages = (RERANKED,) if unranked or top_k is not None else (before, RERANKED)
    return RankedLists(stages, _read_job(scored, rejected, stages), notes, job)


def _read_job(
    scored: Mapping[str, str], rejected: Mapping[str, str], stages: tuple[str, ...]
) -> Iterator[QueryRankings]:
    """The lists of all parts; a query's rows stand together in one of them."""
    seen: set[str] = set()
    for name, part in scored.items():
        lost: dict[str, set[str]] = defaultdict(set)
        for query_id, doc_id in _rows(rejected[name], REJECTED) if name in rejected else ():
            if query_id is not None and doc_id is not None:
                lost[query_id].add(doc_id)
        for query_id, rows in groupby(_rows(part, SCORED), key=itemgetter(0)):
            if query_id in seen:
                raise UserError(f"{part}: query {query_id!r} is elsewhere in scored/ too; is this one job's output?")
            seen.add(query_id)
            yield _job_list(query_id, [row[1:] for row in rows], lost.pop(query_id, set()), stages, part)
        for query_id, doc_ids in lost.items():
            if query_id not in seen:
                yield _job_list(query_id, [], doc_ids, stages, part)


def _job_list(
    query_id: str, rows: list[tuple[str, float, int]], lost: set[str], stages: tuple[str, ...], part: str
) -> QueryRankings:
    """One query's list from its scored rows (document id, score, first-stage rank) and its rejected documents.

    Rejected candidates were in the list that the job was given, so the first stage has them: last, since their ranks
    are not recorded. A rejected duplicate of a scored document adds nothing.
    """
    doc_ids = [doc_id for doc_id, _, _ in rows]
    _check_distinct(doc_ids, query_id, part)
    if not all(math.isfinite(score) for _, score, _ in rows):
        raise UserError(f"{part}: query {query_id!r} has a score that is not a finite number; is this a job's output?")
    lists = {RERANKED: [(score, doc_id) for doc_id, score, _ in rows]}
    for before in {FIRST_STAGE, INPUT_ORDER}.intersection(stages):
        ranked = [(-float(rank), doc_id) for doc_id, _, rank in rows]
        lists[before] = ranked + [(-math.inf, doc_id) for doc_id in lost.difference(doc_ids)]
    return QueryRankings(query_id, lists)


def _read_run(location: str) -> Iterator[QueryRankings]:
    """A TREC run's lists. As for trec_eval the score alone counts, neither the rank field nor the order of lines."""
    lists: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for number, line in read_lines(location):
        query_id, doc_id, score = parse_run_line(line, f"{location}: line {number}")
        lists[query_id].append((score, doc_id))
    for query_id, documents in lists.items():
        _check_distinct([doc_id for _, doc_id in documents], query_id, location)
        yield QueryRankings(query_id, {RUN: documents})


def _check_distinct(doc_ids: list[str], query_id: str, where: str) -> None:
    if len(set(doc_ids)) < len(doc_ids):
        doc_id, times = Counter(doc_ids).most_common(1)[0]
        raise UserError(f"{where}: query {query_id!r} lists document {doc_id!r} {times} times; keep it once")


def _parts(directory: str) -> dict[str, str]:
    """Part files of a directory, name -> path, sorted by name."""
    names = fnmatch.filter(files.list_names(directory), PART_PATTERN)
    return {name: files.join(directory, name) for name in names}


@contextmanager
def _open_part(part: str) -> Iterator[pq.ParquetFile]:
    try:
        with files.open_columns(part) as stream:
            yield pq.ParquetFile(stream, page_checksum_verification=True)
    except (*files.FAILURES, KeyError, pa.ArrowException) as problem:
        raise _unreadable(part, problem) from None


def _row_count(part: str) -> int:
    with _open_part(part) as file:
        return int(file.metadata.num_rows)


def _unranked(part: str) -> int:
    """How many rows of a scored part have no first-stage rank."""
    with _open_part(part) as file:
        missing = set(SCORED.names).difference(file.schema_arrow.names)
        if missing:
            raise UserError(f"{part}: no column {', '.join(sorted(missing))}; is this a job's output directory?")
        return int(file.read(["first_stage_rank"]).column(0).null_count)


def _is_in_input_order(parts: Iterable[str]) -> bool:
    """Whether no list of a job has ranks or scores, as far as its parts say."""
    said = []
    for part in parts:
        with _open_part(part) as file:
            if file.metadata.num_rows:
                record = json.loads((file.metadata.metadata or {}).get(RECORD_KEY, "{}"))
                said.append(IN_INPUT_ORDER in record.get("counts", {}))
    return bool(said) and all(said)


def _rows(part: str, columns: pa.Schema) -> Iterator[tuple[Any, ...]]:
    """Rows of a part, of the given columns alone, a batch in memory at a time."""
    with _open_part(part) as file:
        for batch in file.iter_batches(columns=columns.names):
            table = pa.Table.from_batches([batch]).select(columns.names).cast(columns)
            yield from zip(*(column.to_pylist() for column in table.columns), strict=True)


def _unreadable(part: str, problem: Exception) -> UserError:
    return UserError(f"{part}: cannot be read ({one_line(problem)}); delete it and run the job's command again")


def _read_json(path: str) -> dict[str, Any]:
    if not files.exists(path):
        return {}
    try:
        content = parse(files.read_text(path))
    except ValueError as problem:
        raise UserError(f"{path}: not JSON ({one_line(problem)}); is this a job's output directory?") from None
    if not isinstance(content, dict) or not _as_a_job_writes(content):
        raise UserError(f"{path}: not what a job writes; is this a job's output directory?")
    return content


def _as_a_job_writes(content: Mapping[str, Any]) -> bool:
    """What is read of job.json has the kinds that it is written with."""
    options, inputs = content.get("options", {}), content.get("inputs", [])
    return (
        isinstance(options, dict)
        and isinstance(inputs, list)
        and all(isinstance(entry, dict) for entry in inputs)
        and all(isinstance(entry.get(key), str) for entry in inputs for key in ("path", "footer_hash"))
    )
