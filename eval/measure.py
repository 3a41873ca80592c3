"""Measure a job's output or a TREC run against relevance judgements."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from eval.evaluation import EXAMPLES, evaluate
from eval.files import sha256
from eval.measures import parse_measures
from eval.qrels import read_qrels
from eval.report import count, count_notes, grade_notes, mean_rows, query_rows
from eval.runs import open_source
from eval.summary import render
from transforms.errors import UserError

# nDCG@10 is what nearly every comparison publishes; RR@10 and R@10 tell whether the first hit or the number of hits
# made it. Of lists of up to 100 candidates, R@100 would say what SetR says.
DEFAULT_MEASURES = ("nDCG@10", "RR@10", "R@10")
LIST_RECALL = "SetR"  # always shown, for no order of the candidates can find what is not among them

TABLE_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".parquet": pq.write_table,
    ".csv": lambda table, path: pa.csv.write_csv(table, path),
    ".tsv": lambda table, path: pa.csv.write_csv(table, path, pa.csv.WriteOptions(delimiter="\t")),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "input",
        metavar="OUT_OR_RUN",
        help="a job's output directory, whose first stage and reranked order are measured side by side, or a TREC run, "
        "plain or gzip",
    )
    parser.add_argument(
        "--qrels",
        required=True,
        metavar="FILE",
        help="relevance judgements in TREC's form or BEIR's (query-id, corpus-id, score between tabs), plain or gzip",
    )
    parser.add_argument(
        "--measures",
        nargs="+",
        default=DEFAULT_MEASURES,
        metavar="MEASURE",
        help="in the notation of ir-measures, R(rel=2)@100 say; SetR, the recall of the whole list, is always added "
        f"(default: {' '.join(DEFAULT_MEASURES)})",
    )
    parser.add_argument(
        "--only_run_queries",
        action="store_true",
        help="average over the queries that have candidates, as BEIR's own script does; by default over all queries "
        "of the qrels, those without candidates counting 0",
    )
    parser.add_argument(
        "--exclude_identical_ids",
        action="store_true",
        help="leave out candidates whose id is that of their query, as BEIR does (it matters for ArguAna and Quora)",
    )
    parser.add_argument(
        "--per_query",
        metavar="FILE",
        type=Path,
        help=f"also write the value of each query and measure; the name ends in {', '.join(TABLE_WRITERS)}",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the report as JSON, with its provenance")


def run(args: argparse.Namespace) -> None:
    """Measures, prints the summary, and writes the files asked for.

    Raises:
        UserError: an argument or an input is wrong.
        OSError: a file cannot be read or written.
    """
    measures = parse_measures([*args.measures, LIST_RECALL])
    _check_outputs(args.per_query, args.json)
    judgements = read_qrels(args.qrels)
    source = open_source(args.input)
    evaluation = evaluate(source.lists, source.stages, measures, judgements.grades, args.exclude_identical_ids)
    if not evaluation.answered:
        raise _nothing_in_common(args.input, args.qrels, evaluation.unjudged, list(islice(judgements.grades, EXAMPLES)))

    queries = [query for query in judgements.grades if query in evaluation.answered or not args.only_run_queries]
    counts = count(evaluation, judgements)
    report = {
        "input": args.input,
        "qrels": args.qrels,
        "qrels_sha256": sha256(args.qrels),
        "only_run_queries": args.only_run_queries,
        "exclude_identical_ids": args.exclude_identical_ids,
        "measures": mean_rows(evaluation, queries),
        "counts": counts,
        "notes": source.notes + count_notes(counts) + grade_notes(judgements),
        "versions": {package: version(package) for package in ("ir_measures", "pytrec-eval-terrier")},
        "job": source.job,
    }
    print(render(report))
    if args.per_query:
        TABLE_WRITERS[args.per_query.suffix](pa.Table.from_pylist(query_rows(evaluation, queries)), args.per_query)
    if args.json:
        args.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _check_outputs(per_query: Path | None, report: Path | None) -> None:
    """Finds before the work what would stop the files from being written after it."""
    if per_query and per_query.suffix not in TABLE_WRITERS:
        raise UserError(f"--per_query {per_query}: the name must end in {' or '.join(TABLE_WRITERS)}")
    for option, path in (("--per_query", per_query), ("--json", report)):
        if path and path.is_dir():
            raise UserError(f"{option} {path}: is a directory; name a file")
        if path and not path.parent.is_dir():
            raise UserError(f"{option} {path}: there is no directory {path.parent}; make it first")


def _nothing_in_common(location: str, qrels: str, theirs: Sequence[str], ours: Sequence[str]) -> UserError:
    """Why there is nothing to average: the means would be zeros that look like a result."""
    if not theirs:
        return UserError(f"{location}: no candidates in it; is this the right directory or run?")
    return UserError(
        f"{location} and {qrels} have no query in common: it has ids like {', '.join(map(repr, theirs))}, "
        f"the qrels like {', '.join(map(repr, ours))}; give the qrels of this collection"
    )
