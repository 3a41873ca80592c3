"""Measure how fast a model scores here: this project's core and whole job, other ways to score the same pairs, and the
least time that the machine allows, side by side. A hub id stands for random weights of that model's sizes."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from eval.commands.measure import check_outputs
from eval.ranking.files import write_json
from transforms.base.errors import UserError

CORE, CEILING = "core", "ceiling"
APART, JOB, PLAIN = "core, prefixes apart", "whole job", "plain forward"
DEFAULT, SAME_DTYPE = "sentence-transformers", "sentence-transformers, same dtype"
OTHERS = (DEFAULT, SAME_DTYPE, PLAIN, APART, JOB, CEILING)
SAMPLE = Path(__file__).parents[2] / "demo" / "dbpedia_entity_40x50.parquet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="hub id, for its sizes alone; directory; or embedded model")
    parser.add_argument(
        "--model_like", help="the model of the catalogue that a directory holds, if it cannot be recognised"
    )
    parser.add_argument("--candidates", help="Parquet with candidate lists; by default the demo's")
    parser.add_argument(
        "--pairs",
        type=int,
        nargs="+",
        default=[1000],
        help="pairs to score; with several numbers core and job are measured at each, others at the first",
    )
    parser.add_argument("--list_size", type=int, help="documents of a query; by default as in the candidate lists")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--attention", default="auto", help="kernel that computes attention")
    parser.add_argument("--batch_tokens", type=int, help="tokens in one forward pass, at most")
    parser.add_argument("--group_size", type=int, help="documents that a listwise model reads together, at most")
    parser.add_argument("--repeats", type=int, default=3, help="times that each is measured, taking turns (default: 3)")
    parser.add_argument(
        "--without",
        nargs="*",
        default=[],
        metavar="NAME",
        help="what to leave out, by its name in the table; core always stays",
    )
    parser.add_argument("--price_per_hour", type=float, help="of this machine, to report the cost of 1,000 documents")
    parser.add_argument("--large", action="store_true", help="on a CPU, take models of more than 0.7B parameters too")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write all figures there")


def run(args: argparse.Namespace) -> int:
    """Measures and prints a table; returns the exit code.

    Raises:
        UserError: the model or the candidates cannot be had, or a number is out of range.
    """
    from eval.throughput import rounds as measured
    from eval.throughput import tasks

    numbers = {"pairs": min(args.pairs), "repeats": args.repeats, "list_size": args.list_size or 1}
    for name, value in numbers.items():
        if value < 1:
            raise UserError(f"--{name} {value}: give a positive number")
    if args.price_per_hour is not None and not 0 <= args.price_per_hour < float("inf"):
        raise UserError(f"--price_per_hour {args.price_per_hour}: give a price")
    if unknown := set(args.without) - set(OTHERS):
        raise UserError(f"--without {unknown.pop()}: give {', '.join(map(repr, OTHERS))}")
    check_outputs(None, args.json, [args.candidates, str(SAMPLE), args.model])
    if args.candidates is None and not SAMPLE.is_file():
        raise UserError("--candidates: the demo's are not at hand, as they are in a checkout; give a Parquet file")
    # As much as oneDNN keeps by itself, for all: the batches of others have more sizes than the core's.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "1024")
    lists = tasks.read(args.candidates or str(SAMPLE), args.list_size)
    with tempfile.TemporaryDirectory() as folder:
        told: dict[str, Any] = measured.measure(args, lists, Path(folder))
    print(measured.table(told))
    if args.json:
        write_json(args.json, told)
    return 0
