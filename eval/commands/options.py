"""The arguments of the commands. A function's docstring is its command's help."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from eval.commands.requests import DEFAULT_ORDERS
from eval.ranking.files import TABLE_WRITERS
from eval.ranking.relevance import ANSWERS_MEASURES, DEFAULT_MEASURES
from transforms.base.arguments import not_empty, positive
from transforms.scoring.choices import DTYPES

# One measure, since each one more makes it harder for all comparisons to stand the correction for their number.
COMPARED_MEASURES = ("nDCG@10",)


def measure(parser: argparse.ArgumentParser) -> None:
    """Measure a job's output or a TREC run against relevance judgements, or by the answers in its passages."""
    parser.add_argument(
        "input",
        metavar="OUT_OR_RUN",
        type=not_empty,
        help="a job's output directory, whose first stage and reranked order are measured side by side, or a TREC run, "
        "plain or gzip",
    )
    _relevance(parser, DEFAULT_MEASURES)
    parser.add_argument(
        "--per_query",
        metavar="FILE",
        type=Path,
        help=f"also write the value of each query and measure; the name ends in {', '.join(TABLE_WRITERS)}",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the report as JSON, with its provenance")


def compare(parser: argparse.ArgumentParser) -> None:
    """Compare runs with a baseline: by how much do they differ, on which queries, and by more than chance?"""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="OUT_OR_RUN",
        type=not_empty,
        help="the baseline, then what to compare with it: output directories of jobs, whose reranked order is taken, "
        "or TREC runs, plain or gzip",
    )
    _relevance(parser, COMPARED_MEASURES)
    parser.add_argument(
        "--show",
        metavar="N",
        type=positive,
        default=5,
        help="name so many of the queries that changed most (default: %(default)s)",
    )
    parser.add_argument(
        "--texts",
        action="store_true",
        help="show in these queries the documents that moved, with both ranks, grade and text; at least one input must "
        "be the output of a finished job",
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write the same with longer texts, as a page")
    parser.add_argument(
        "--per_query",
        metavar="FILE",
        type=Path,
        help="also write the values of each query and measure, a column a run; the name ends in "
        f"{', '.join(TABLE_WRITERS)}",
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the report as JSON, with its provenance")


def order(parser: argparse.ArgumentParser) -> None:
    """Report how much the order matters in which a listwise model reads the candidates.

    Reads the outputs of jobs that differ in --candidate_order alone, or runs these jobs first.
    """
    parser.add_argument(
        "outputs",
        nargs="*",
        metavar="OUT",
        type=not_empty,
        help="output directories of finished jobs on one input, at least two",
    )
    parser.add_argument(
        "--qrels", required=True, metavar="FILE", type=not_empty, help="relevance judgements in TREC's or BEIR's form"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the report as JSON")
    run = parser.add_argument_group("to run the jobs first")
    run.add_argument(
        "--input",
        nargs="+",
        action="extend",
        metavar="PATH",
        type=not_empty,
        help="candidates in Parquet, as for pipelines.rerank",
    )
    run.add_argument("--model", type=not_empty, help="as for pipelines.rerank")
    run.add_argument(
        "--output", metavar="DIR", type=not_empty, help="the jobs write to directories in it, named by their orders"
    )
    run.add_argument(
        "--orders",
        nargs="+",
        action="extend",
        metavar="ORDER",
        help=f"values of --candidate_order to compare (default: {' '.join(DEFAULT_ORDERS)})",
    )
    run.add_argument(
        "--job_options", default="", metavar="TEXT", help='further options of the jobs, such as "--dtype float32"'
    )


def verify_output(parser: argparse.ArgumentParser) -> None:
    """Read a job's output from end to end: is every part whole, is one missing, a copy, or of no shard?

    Exit code 0: it is whole; 1: it is not, a line for each thing that is wrong; 2: there is no job's output.
    """
    parser.add_argument("output", metavar="OUT", type=not_empty, help="directory of a reranking job")


def verify(parser: argparse.ArgumentParser) -> None:
    """Check a model's weights, and this program with them, against the scores that the vendor has published.

    Exit code 0: they agree; 1: they do not; 2: the weights are not available, or no scores of the model are published.
    """
    parser.add_argument("--model", required=True, type=not_empty, help="hub id, directory or embedded model")
    parser.add_argument(
        "--model_like", help="the model of the catalogue that a directory holds, if it cannot be recognised"
    )
    parser.add_argument("--revision", help="hub revision; by default the catalogue's")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--dtype", default="float32", choices=("auto", *DTYPES), help="number format of the model")


def _relevance(parser: argparse.ArgumentParser, measures: Sequence[str]) -> None:
    """Declares what says which documents are relevant, and how to measure by them; by default `measures`."""
    relevant = parser.add_mutually_exclusive_group(required=True)
    relevant.add_argument(
        "--qrels",
        metavar="FILE",
        type=not_empty,
        help="relevance judgements in TREC's form or BEIR's (query-id, corpus-id, score between tabs), plain or gzip",
    )
    relevant.add_argument(
        "--answers",
        metavar="FILE",
        type=not_empty,
        help='for MKQA: lines {"query_id": "...", "answers": ["...", ...]}, plain or gzip; a candidate is relevant if '
        "an answer occurs in its title or text",
    )
    parser.add_argument(
        "--candidates",
        nargs="+",
        action="extend",
        type=not_empty,
        metavar="PATH",
        help="with --answers: the candidates in Parquet, for their texts (default: those that the job read)",
    )
    parser.add_argument(
        "--measures",
        nargs="+",
        action="extend",
        metavar="MEASURE",
        help="in the notation of ir-measures, such as R(rel=2)@100; SetR, the recall of the whole list, is always "
        f"added (default: {' '.join(measures)}). With --answers Recall@k, the share of the queries with an answer in "
        f"the first k passages (default: {' '.join(ANSWERS_MEASURES)})",
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
