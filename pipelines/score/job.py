"""Lists and pairs from standard input, scored as they come.

    python -m pipelines.score --model MODEL --top_k 5 < lists.jsonl > scored.jsonl

A line of output for each line of input, in order, written as soon as it is known. Lines that are at hand are scored
together, so that their pairs fill forward passes; none waits for the next one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipelines.running.model import specify_here
from pipelines.score.lines import LONGEST_LINE, lines_at_hand
from pipelines.score.request import ScoreRequest
from transforms.base.errors import UserError, one_line
from transforms.base.json_text import parse
from transforms.handler import tasks_of
from transforms.lists import (
    BATCH_CHARACTERS,
    Outcome,
    RankingRequest,
    Rejected,
    is_id,
    outcomes,
    problem,
    request_of,
    shard_of,
)
from transforms.output.commit import results
from transforms.schema import REASONS
from transforms.scoring.early import check_order_applies
from transforms.scoring.results import take
from transforms.scoring.scorer import NO_INSTRUCTION, Scorer


class NumberedRequest(NamedTuple):
    """A line that holds a request.

    Attributes:
        number: of the line, from 1.
        request: what it asks for.
        is_pair: whether it is a pair, a list of one.
    """

    number: int
    request: RankingRequest
    is_pair: bool


Line = dict[str, Any]
NEITHER = "is neither a list (with candidates) nor a pair (with doc_id and text)"
WORDS: Mapping[str, str] = {str(reason): words for reason, words in REASONS.items()}


def run(request: ScoreRequest) -> int:
    """Score standard input; returns the exit code: 1 where something has no score.

    Raises:
        UserError: the model is unavailable, cannot run so, or scores each document alone where an order is given; or
            standard input or output fails or is closed.
    """
    if sys.__stdin__ is None or sys.__stdout__ is None:  # the next file to be opened takes its place
        raise UserError("standard input or output is closed; redirect them, < IN.jsonl > OUT.jsonl, say")
    specification = specify_here(request)
    check_order_applies(request.candidate_order, request.model, specification.model)
    scorer = specification.load()
    complete, number = True, 0
    try:
        for lines in lines_at_hand(sys.__stdin__.fileno(), BATCH_CHARACTERS):
            made = scored(scorer, lines, number, request.candidate_order, request.top_k)
            complete = complete and not any("error" in line or "rejected" in line for line in made)
            number += len(lines)
            write("".join(json.dumps(line) + "\n" for line in made).encode())
    except BrokenPipeError:  # whoever reads has enough
        return 128 + signal.SIGPIPE
    except OSError as error:
        raise UserError(f"standard input or output fails ({one_line(error)}); see where they lead") from None
    return int(not complete)


def write(content: bytes) -> None:
    """To standard output itself: what stands in sys.stdout is for people, and does not say where it fails."""
    while content:
        content = content[os.write(1, content) :]


def scored(scorer: Scorer, lines: Sequence[bytes | None], before: int, order: str, top_k: int | None) -> list[Line]:
    """What the lines become, in order; blank ones become nothing.

    Args:
        scorer: the model.
        lines: of the input; None for one that is too long.
        before: how many lines came before these.
        order: in which a listwise model reads a list.
        top_k: documents of a list to give back; None for all.
    """
    numbered = enumerate(lines, before + 1)
    entries = [read(number, line, scorer) for number, line in numbered if line is None or line.strip()]
    requests = [line.request for line in entries if isinstance(line, NumberedRequest)]
    made: Iterator[Outcome] = iter(ranked(scorer, requests, order, top_k))
    return [written(line, next(made)) if isinstance(line, NumberedRequest) else line for line in entries]


def ranked(scorer: Scorer, requests: Sequence[RankingRequest], order: str, top_k: int | None) -> list[Outcome]:
    """What becomes of requests, scored together."""
    if not requests:
        return []
    shard = shard_of(requests)
    tasks, rows = tasks_of(shard, order)
    return outcomes(shard, *results(shard, take(scorer.score_tasks(tasks), rows.argsort()), top_k))


def read(number: int, line: bytes | None, scorer: Scorer) -> NumberedRequest | Line:
    """What a line asks for, or the line of output that says why that is unknown."""
    if line is None:
        return {"line": number, "error": f"longer than {LONGEST_LINE >> 20} MiB; split the list"}
    try:
        row = parse(line)
    except ValueError as error:
        return {"line": number, "error": f"is not JSON ({one_line(error)})"}
    if not isinstance(row, dict):
        return {"line": number, "error": NEITHER}
    known = {"line": number} | {name: row[name] for name in ("query_id", "doc_id") if is_id(row.get(name))}
    if not {"candidates", "doc_id"} & row.keys():
        return {**known, "error": NEITHER}
    is_pair = "candidates" not in row
    request = request_of({**row, "candidates": [row]} if is_pair else row)
    if wrong := problem(request):
        return {**known, "error": wrong.removeprefix("candidates[0].") if is_pair else wrong}
    if request.instruction and not scorer.takes_instruction:
        return {**known, "error": NO_INSTRUCTION}
    return NumberedRequest(number, request, is_pair)


def written(line: NumberedRequest, outcome: Outcome) -> Line:
    """The line of output for a request."""
    ids: Line = {"query_id": line.request.query_id}
    if line.is_pair:
        ids["doc_id"] = line.request.candidates[0].doc_id
    if outcome.ranked is None or (line.is_pair and outcome.rejected):
        return {"line": line.number, **ids, "error": reason(outcome.rejected[0])}
    documents = [document._asdict() for document in outcome.ranked.documents]
    if line.is_pair:
        return {**ids, "score": documents[0]["score"], "truncated_tokens": documents[0]["truncated_tokens"]}
    rejected = [{"doc_id": one.doc_id, "error": reason(one)} for one in outcome.rejected]
    return {**ids, "results": documents, **({"rejected": rejected} if rejected else {})}


def reason(rejected: Rejected) -> str:
    """Why there is no score, in a line."""
    detail = f" ({rejected.detail})" if rejected.detail else ""
    return f"{rejected.reason}: {WORDS[rejected.reason]}{detail}"
