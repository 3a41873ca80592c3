"""Report how much the order matters in which a listwise model reads the candidates.

Reads the outputs of jobs that differ in --candidate_order alone, or runs these jobs first.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Any, NamedTuple

from eval.commands.measure import check_not_read
from eval.commands.requests import DEFAULT_ORDERS, OrderRequest
from eval.ranking.evaluation import evaluate
from eval.ranking.files import write_json
from eval.ranking.measures import mean, parse_measures, trec_order
from eval.ranking.qrels import read_qrels
from eval.ranking.runs import QueryRankings, open_source
from eval.ranking.summary import align
from transforms.base.errors import UnavailableError, UserError
from transforms.base.files import sha256
from transforms.input.named import input_files

MEASURE = "nDCG@10"
DEPTHS = (1, 5, 10)
JOB = (sys.executable, "-m", "pipelines.rerank")
INTERRUPTED = 130  # the exit code of a job that was

Rankings = Mapping[str, Sequence[str]]  # query id -> document ids, best first


class RankingAgreement(NamedTuple):
    """How two rankings of the same candidates differ.

    Attributes:
        queries: that both have.
        one_sided: documents of these queries that one of the two lacks, rejected ones say.
        kendall_tau: rank correlation over the documents that both have, averaged over the queries with at least two
            such; None where no query has.
        changed: for each of DEPTHS, the share of the queries whose best so many documents are not the same, in
            whatever order.
    """

    queries: int
    one_sided: int
    kendall_tau: float | None
    changed: dict[int, float]


@dataclass(frozen=True)
class OrderResult:
    """What one order led to."""

    order: str
    location: str
    value: float  # mean of MEASURE
    rankings: Rankings
    notes: list[str]
    job: Mapping[str, Any]


def run(request: OrderRequest) -> None:
    """Runs jobs if asked to, compares each two orders, prints the summary, and writes the report if asked to.

    Raises:
        UserError: an argument or an output is wrong, or a job did not end well.
        OSError: a file cannot be read or written.
    """
    inputs = input_files(request.input or ())
    check_not_read({"--json": request.json}, [request.qrels, *request.outputs, *inputs])
    grades = read_qrels(request.qrels).grades
    locations = _run_jobs(request) if request.input else request.outputs
    outcomes = [read_outcome(location, grades) for location in locations]
    for first, second in combinations(outcomes, 2):
        _check_comparable(first, second)
    report = {
        "qrels": request.qrels,
        "qrels_sha256": sha256(request.qrels),
        "orders": [
            {"order": outcome.order, "location": outcome.location, MEASURE: outcome.value, "notes": outcome.notes}
            for outcome in outcomes
        ],
        "comparisons": [
            {"orders": [first.order, second.order], **compare(first.rankings, second.rankings)._asdict()}
            for first, second in combinations(outcomes, 2)
        ],
    }
    print(render(report))
    if request.json:
        write_json(request.json, report)


def _check_comparable(first: OrderResult, second: OrderResult) -> None:
    """Finds what would make a difference that the order has no part in."""
    where = f"{first.location} and {second.location}"
    if first.order == second.order:
        raise UserError(f"{where} have the same order, {first.order}; give one output of each order")
    for part in ("inputs", "model"):
        if first.job.get(part) != second.job.get(part):
            raise UserError(f"{where}: their job.json differ in {part}; give outputs of one input by one model")
    if not first.rankings.keys() & second.rankings.keys():
        raise UserError(f"{where} have no query in common; give outputs of one input")


def _run_jobs(request: OrderRequest) -> list[str]:
    """One job an order, each in a process of its own; returns their output directories. What is done is not redone.

    best_first comes last: a model that has no order, to which every other one is a mistake, is found before any work.
    """
    assert request.input is not None  # as is the rest, see `OrderRequest.complaints`
    assert request.output is not None
    assert request.model is not None
    orders = request.orders or DEFAULT_ORDERS
    locations = {order: f"{request.output.rstrip('/')}/{order.replace(':', '_')}" for order in orders}
    for order in sorted(orders, key=lambda order: order == "best_first"):
        options = ["--model", request.model, "--output", locations[order], "--candidate_order", order]
        command = [*JOB, "--input", *request.input, *options, *request.job_words()]
        code = subprocess.run(command, check=False).returncode
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            kind = UserError if code == UserError.exit_code else UnavailableError
            raise kind(f"--candidate_order {order}: the job ended with exit code {code}; its own message says why")
    return list(locations.values())


def read_outcome(location: str, grades: Mapping[str, Mapping[str, int]]) -> OrderResult:
    """A job's rankings and what they are worth.

    Args:
        location: its output directory.
        grades: query id -> document id -> grade.

    Raises:
        UserError: it is not the output of a job that had an order.
    """
    source = open_source(location)
    order = source.job.get("options", {}).get("candidate_order")
    if order is None:
        raise UserError(f"{location}: its job.json has no candidate_order; give outputs of a listwise model")
    stage = source.stages[-1]
    rankings: dict[str, list[str]] = {}

    def remembered() -> Iterator[QueryRankings]:
        for candidates in source.lists:
            rankings[candidates.query_id] = trec_order(candidates.stages[stage])
            yield candidates

    [measure] = parse_measures([MEASURE])
    values = evaluate(remembered(), (stage,), [measure], grades).values[stage][measure]
    return OrderResult(order, location, mean(measure, values.values()), rankings, source.notes, source.job)


def compare(first: Rankings, second: Rankings) -> RankingAgreement:
    """How two rankings of the same candidates differ; they must have a query in common."""
    from scipy.stats import kendalltau  # takes seconds

    common = [query_id for query_id in first if query_id in second]
    correlations, one_sided = [], 0
    for query_id in common:
        places = {document: place for place, document in enumerate(second[query_id])}
        shared = [places[document] for document in first[query_id] if document in places]
        one_sided += len(first[query_id]) + len(second[query_id]) - 2 * len(shared)
        if len(shared) > 1:
            correlations.append(float(kendalltau(range(len(shared)), shared).statistic))
    changed = {
        depth: fmean(set(first[query_id][:depth]) != set(second[query_id][:depth]) for query_id in common)
        for depth in DEPTHS
    }
    return RankingAgreement(len(common), one_sided, fmean(correlations) if correlations else None, changed)


def render(report: Mapping[str, Any]) -> str:
    """Two tables and the notes, without a newline at the end."""
    means = [["order", MEASURE], *([row["order"], f"{row[MEASURE]:.4f}"] for row in report["orders"])]
    pairs = [["orders", "queries", "Kendall's tau", *(f"top {depth} changed" for depth in DEPTHS)]]
    notes = [f"{row['order']}: {note}" for row in report["orders"] for note in row["notes"]]
    for row in report["comparisons"]:
        names = ", ".join(row["orders"])
        tau = "none" if row["kendall_tau"] is None else f"{row['kendall_tau']:.4f}"
        pairs.append([names, f"{row['queries']:,}", tau, *(f"{row['changed'][depth]:.1%}" for depth in DEPTHS)])
        if row["one_sided"]:
            notes.append(f"{names}: documents that one of the two lacks: {row['one_sided']:,}; not in tau")
    return "\n".join([*align(means), "", *align(pairs), *(f"\nnote: {note}" for note in notes)])
