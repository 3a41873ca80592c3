"""The main job: candidate lists in, scored Parquet out.

    python -m pipelines.rerank --input 'cands/*.parquet' --output out/ --model MODEL --runner=DirectRunner

Everything that can be checked is checked before the model is loaded. The same command again does what is missing.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineRunner, PipelineState

from pipelines import dry_run
from pipelines.options import Parser, fail, parse, runner_of
from pipelines.progress_line import progress_line
from transforms import files, job, report
from transforms.commit import committed, complete_row_groups
from transforms.errors import UserError
from transforms.inputs import InputFile, inspect
from transforms.plan import Plan, Unit, load_plan, plan, save_plan
from transforms.progress import request_stop
from transforms.rerank import NAMESPACE, Reading, Rerank
from transforms.scoring.reranker import Specification, specify
from transforms.template import parse_template

# Options that are fields of a model family's Settings: None leaves them to the vendor's defaults.
MODEL_OPTIONS = ("max_length", "max_query_length", "long_documents")


def build_parser() -> argparse.ArgumentParser:
    """All options of this command; Beam's runners add theirs."""
    parser = Parser(
        prog="python -m pipelines.rerank",
        description="Rerank candidate lists in Parquet: every (query, document) pair is scored and written to OUTPUT.",
        epilog="All options of Beam's runners are taken too, --runner=DirectRunner for one.",
    )
    files_ = parser.add_argument_group("input and output")
    files_.add_argument(
        "--input", required=True, nargs="+", metavar="PATH", help="Parquet files, directories or globs of candidates"
    )
    files_.add_argument("--output", required=True, metavar="DIR", help="directory of the job's output")
    files_.add_argument("--keep_columns", type=_names, default=(), metavar="A,B", help="input columns to carry to the output")
    files_.add_argument("--text_template", metavar="TEXT", help='what the model sees of a document, say "{title} {text}"')
    files_.add_argument("--top_k", type=_positive, metavar="K", help="keep only each query's best K in the output")
    files_.add_argument("--run_file", metavar="FILE", help="also write the ranking as a TREC run")
    model = parser.add_argument_group("model")
    model.add_argument("--model", required=True, help="short name, hub id (owner/name) or directory of a checkpoint")
    model.add_argument("--model_like", metavar="NAME", help="treat the checkpoint as this model of the catalogue")
    model.add_argument("--revision", help="commit, tag or branch on the hub")
    model.add_argument("--max_length", type=_positive, metavar="TOKENS", help="tokens the model reads at once")
    model.add_argument("--max_query_length", type=_positive, metavar="TOKENS", help="tokens kept of a query")
    model.add_argument(
        "--long_documents",
        choices=("window", "truncate"),
        help="read a long document in overlapping windows and take the best score, or cut it",
    )
    running = parser.add_argument_group("running")
    running.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    running.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"))
    running.add_argument("--batch_tokens", type=_positive, metavar="N", help="tokens in one forward pass, at most")
    running.add_argument("--shard_pairs", type=_positive, default=16_384, metavar="N", help="pairs in a shard, at most")
    running.add_argument(
        "--max_rejected", type=_fraction, default=1.0, metavar="SHARE", help="share of pairs that may be rejected"
    )
    running.add_argument("--overwrite", action="store_true", help="delete what an earlier job left in OUTPUT")
    running.add_argument("--extend", action="store_true", help="score input files that were added since")
    running.add_argument(
        "--retry_rejected", metavar="REASON", help="score the shards again in which pairs were rejected for this reason"
    )
    running.add_argument("--dry_run", action="store_true", help="count, and estimate time and cost; write nothing")
    running.add_argument("--price_per_hour", type=float, metavar="PRICE", help="of one machine, to tell the cost")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def build(
    pipeline: beam.Pipeline,
    units: Sequence[Unit],
    output: str,
    specification: Specification,
    reading: Reading,
    *,
    top_k: int | None = None,
    progress_folder: str | None = None,
) -> beam.PCollection[Counter[str]]:
    """The job's graph: units of the plan to committed shards; puts out each shard's counts."""
    rerank = Rerank(output, specification, reading, top_k=top_k, progress_folder=progress_folder)
    return pipeline | "Units" >> beam.Create(units) | "Rerank" >> rerank


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return _main(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        return fail(error)
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        return 130
