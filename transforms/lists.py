"""Lists that a program has in hand, scored as the job scores those of files: requests in, ranked lists out.

A batch of requests becomes a shard, by the same steps as rows of a file, and its scores become ranks, by the same steps
as before a commit. So what is rejected and why, which order a listwise model reads, and how ties are ranked are those
of the job.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.base.words import kind_of
from transforms.input.cleaning import clean
from transforms.input.columns import Columns
from transforms.input.reader import assembled
from transforms.input.rows import KEEP, nested_rows
from transforms.schema import REJECTED, Shard

# Characters of text that are scored together, some 130,000 tokens of English at four each: enough to sort by length and
# to fill forward passes, and seconds of a CPU's work.
BATCH_CHARACTERS = 1 << 19
# The reason of a request whose parts are not of the types below, or that the model cannot read.
MALFORMED = "malformed"


class Candidate(NamedTuple):
    """A document of a list, as the columns of `candidates` describe it in docs/data.md."""

    doc_id: str
    text: str
    title: str | None = None
    score: float | None = None
    rank: int | None = None


class RankingRequest(NamedTuple):
    """A query with its candidates.

    Example:
        >>> RankingRequest("q1", "capital of France", [Candidate("d1", "Paris is the capital.")]).query
        'capital of France'
    """

    query_id: str
    query: str
    candidates: Sequence[Candidate]
    instruction: str | None = None


class RankedDocument(NamedTuple):
    """A scored document.

    Attributes:
        doc_id: of the candidate.
        rank: from 1, the best.
        score: float32 in the vendor's convention.
        first_stage_rank: its place in the first stage's order, from 1.
        truncated_tokens: tokens of it that the model never saw; None where that is unknown.
    """

    doc_id: str
    rank: int
    score: float
    first_stage_rank: int
    truncated_tokens: int | None


class RankedList(NamedTuple):
    """A request's documents that have a score, best first."""

    query_id: str
    documents: list[RankedDocument]


class Rejected(NamedTuple):
    """Why a request (doc_id is None) or one of its candidates has no score.

    Attributes:
        query_id: as far as it can be read.
        doc_id: likewise.
        reason: MALFORMED, or a word of `schema.REASONS`.
        detail: more of it, where there is more.
    """

    query_id: str | None
    doc_id: str | None
    reason: str
    detail: str | None


class Outcome(NamedTuple):
    """What became of a request; `ranked` is None where the whole of it is rejected."""

    ranked: RankedList | None
    rejected: list[Rejected]


class Origin(NamedTuple):
    """Where a request came from: its id, and its time in microseconds."""

    query_id: str
    time: int = 0


@dataclass(frozen=True)
class ListShard(Shard):
    """A shard of requests, in whose tables `source_row` and the kept column `place` are places among `origins`."""

    origins: tuple[Origin, ...] = ()


_TEXTS = ("doc_id", "text", "title")
_NUMBERS: dict[str, pa.DataType] = {"score": pa.float64(), "rank": pa.int64()}
_PLACE = "place"
_COLUMNS = Columns(
    layout="nested",
    query={"query_id": pa.string(), "query": pa.string(), "instruction": pa.string(), _PLACE: pa.int64()},
    candidate={**dict.fromkeys(_TEXTS, pa.string()), **_NUMBERS},
    kept_query=(_PLACE,),
    prefix="candidates.list.element.",
)


def request_of(row: Mapping[str, Any]) -> RankingRequest:
    """The request that a row of nested input makes, as a dict: of JSON, or of Beam's ReadFromParquet.

    What is missing is None, and what has a wrong type stays as it is: `problem` finds it.

    Example:
        >>> request_of({"query_id": "q1", "query": "a", "candidates": [{"doc_id": "d1", "text": "b"}]}).candidates
        [Candidate(doc_id='d1', text='b', title=None, score=None, rank=None)]
    """
    listed = row.get("candidates")
    candidates: Any = [_candidate_of(entry) for entry in listed] if isinstance(listed, (list, tuple)) else listed
    return RankingRequest(row.get("query_id"), row.get("query"), candidates, row.get("instruction"))  # type: ignore[arg-type]


def _candidate_of(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    return Candidate._make(map(entry.get, Candidate._fields))


def problem(request: RankingRequest) -> str | None:
    """What of a request has another type than it should have, in a line; None where nothing has.

    What is None instead is rejected by itself, with the reason that the job gives.
    """
    if not isinstance(request, RankingRequest):
        return f"is {kind_of(request)}; give a RankingRequest"
    texts = {"query_id": request.query_id, "query": request.query, "instruction": request.instruction}
    if wrong := _wrong(texts, {}):
        return wrong
    candidates = request.candidates
    if candidates is not None and not isinstance(candidates, (list, tuple)):
        return f"candidates: {kind_of(candidates)}; give a list"
    for place, entry in enumerate(candidates or ()):
        if entry is not None and not isinstance(entry, Candidate):
            return f"candidates[{place}]: {kind_of(entry)}; give doc_id and text"
        if entry is not None and (wrong := _wrong(dict(zip(_TEXTS, entry, strict=False)), entry._asdict())):
            return f"candidates[{place}].{wrong}"
    return None


def _wrong(texts: Mapping[str, Any], numbers: Mapping[str, Any]) -> str | None:
    for name, value in texts.items():
        if not isinstance(value, (str, type(None))) and not (name.endswith("_id") and is_id(value)):
            return f"{name}: {kind_of(value)}; give a text"
    for name, data_type in _NUMBERS.items():
        value = numbers.get(name)
        try:
            exact = pa.scalar(_number(value), data_type).as_py()
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return f"{name}: {value!r}; give a number"
        if isinstance(value, bool) or (name == "rank" and exact != value):
            return f"{name}: {value!r}; give {'a whole number' if name == 'rank' else 'a number'}"
    return None


def _number(value: Any) -> Any:
    """A value as Arrow takes it for a number: DECIMAL, as Beam reads it from Parquet, only as a float."""
    return float(value) if isinstance(value, Decimal) else value


def is_id(value: object) -> bool:
    """Whether a value can be an id: a text, or a whole number, which is its digits."""
    return isinstance(value, str) or type(value) is int


def characters(request: RankingRequest) -> int:
    """How much there is to read of a request that has no `problem`."""
    return sum(len(entry.text or "") for entry in request.candidates or () if entry is not None)


def shard_of(requests: Sequence[RankingRequest], times: Iterable[int] = repeat(0)) -> ListShard:
    """Requests, none of which has a `problem`, as a shard; their times are carried in its origins."""
    entries = [entry for request in requests for entry in request.candidates or ()]
    missing = pa.array([entry is None for entry in entries], pa.bool_())
    arrays = {name: _strings(getattr(entry, name, None) for entry in entries) for name in _TEXTS}
    arrays |= {
        name: pa.array([_number(getattr(entry, name, None)) for entry in entries], data_type)
        for name, data_type in _NUMBERS.items()
    }
    offsets, end = [], 0
    for request in requests:
        offsets.append(None if request.candidates is None else end)
        end += len(request.candidates or ())
    lists = pa.ListArray.from_arrays(
        pa.array([*offsets, end], pa.int32()), pa.StructArray.from_arrays([*arrays.values()], [*arrays], mask=missing)
    )
    columns = {
        "query_id": _strings(request.query_id for request in requests),
        "query": _strings(request.query for request in requests),
        "instruction": _strings(request.instruction for request in requests),
    }
    columns |= {"candidates": lists, _PLACE: pa.array(range(len(requests)), pa.int64())}
    cleaned = clean(nested_rows(pa.RecordBatch.from_pydict(columns), _COLUMNS, "requests", 0))
    shard = assembled("requests", True, [cleaned])
    origins = tuple(Origin(str(request.query_id), time) for request, time in zip(requests, times, strict=False))
    return ListShard(**{field.name: getattr(shard, field.name) for field in fields(shard)}, origins=origins)


def _strings(values: Iterable[str | int | None]) -> pa.StringArray:
    """Texts as they are, half characters too, which are not valid UTF-8."""
    encoded = [None if value is None else str(value).encode("utf-8", "surrogatepass") for value in values]
    return pa.array(encoded, pa.binary()).cast(pa.string(), safe=False)


def instructions_rejected(shard: ListShard, detail: str) -> ListShard:
    """The shard for a model that takes no instruction: queries that have one are rejected with that detail."""
    has = pc.fill_null(pc.not_equal(shard.queries["instruction"], ""), False).to_numpy()
    with_one = shard.queries.filter(has)
    rejected = {
        "query_id": with_one["query_id"],
        "n_candidates": with_one["n_pairs"],
        "reason": pa.repeat(MALFORMED, len(with_one)),
        "detail": pa.repeat(detail, len(with_one)),
        "source_row": with_one[KEEP + _PLACE],
    }
    columns = [rejected.get(field.name, pa.nulls(len(with_one), field.type)) for field in REJECTED]
    return replace(
        shard,
        queries=shard.queries.filter(~has),
        pairs=shard.pairs.filter(~np.repeat(has, shard.queries["n_pairs"].to_numpy())),
        rejected=pa.concat_tables([shard.rejected.cast(REJECTED), pa.table(columns, schema=REJECTED)]),
    )


def outcomes(shard: ListShard, scored: pa.Table, rejected: pa.Table) -> list[Outcome]:
    """What became of a shard's requests, in their order, from the tables that `commit.results` makes of it."""
    documents: dict[int, list[RankedDocument]] = defaultdict(list)
    for row in scored.select([*RankedDocument._fields, _PLACE]).to_pylist():
        documents[row.pop(_PLACE)].append(RankedDocument(**row))
    without: dict[int, list[Rejected]] = defaultdict(list)
    whole = set()
    for row in rejected.to_pylist():
        without[row["source_row"]].append(Rejected(*(row[name] for name in Rejected._fields)))
        if row["n_candidates"] is not None:
            whole.add(row["source_row"])
    return [
        Outcome(None if place in whole else RankedList(origin.query_id, documents[place]), without[place])
        for place, origin in enumerate(shard.origins)
    ]
