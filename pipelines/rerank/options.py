"""The main job's options as data, and its parser."""

from __future__ import annotations

import argparse
from typing import Any

from pipelines.running.options import (
    ORDER_OPTIONS,
    RUN_OPTIONS,
    SCORING_OPTIONS,
    add_model_options,
    add_options,
    add_own_files,
)
from transforms.base.arguments import amount, names, not_empty, positive, price, share, speed
from transforms.base.reading import Parser
from transforms.input.names import ACCEPTED
from transforms.schema import REASONS

FILES_OF_RUN = {"corpus": "documents", "queries": "queries"}
# What a dry run plans for, and the job itself does not know.
PLAN_OPTIONS: dict[str, dict[str, Any]] = {
    "workers": {"type": positive, "metavar": "N", "help": "of a dry run: machines to plan for (default: 1)"},
    "throughput": {
        "type": speed,
        "metavar": "PAIRS",
        "help": "of a dry run: pairs per second of one machine (default: measured)",
    },
    "gpu": {
        "type": not_empty,
        "metavar": "CARD",
        "help": "of a dry run: plan from what was measured on this GPU, such as h200, without input or weights",
    },
    "pairs": {"type": amount, "metavar": "N", "help": "of a dry run with --gpu: pairs to score, such as 1e8"},
    "tokens_per_pair": {
        "type": amount,
        "metavar": "N",
        "help": "of a dry run with --gpu: tokens that the model reads for a pair",
    },
}


def build_parser() -> argparse.ArgumentParser:
    """All options of the main job; Beam's runners add theirs."""
    parser = Parser(
        prog="python -m pipelines.rerank",
        description="Rerank candidate lists: score every (query, document) pair of Parquet or text files into Parquet.",
        epilog="Options of Beam's runners are taken too: --runner=DirectRunner, --direct_num_workers=2 and so on.",
    )
    ends = parser.add_argument_group("input and output")
    ends.add_argument(
        "--input",
        default=[],
        nargs="+",
        action="extend",
        type=not_empty,
        metavar="PATH",
        help="files, directories or globs: Parquet, CSV, TSV or JSON lines, the last three also .gz",
    )
    ends.add_argument("--output", default="", metavar="DIR", help="the job's own directory (required but for --gpu)")
    ends.add_argument(
        "--dataset",
        type=not_empty,
        metavar="NAME",
        help="instead of --input: what the datasets library opens, hf:OWNER/NAME or a folder, and after commas "
        "config=, split=, revision=",
    )
    add_own_files(
        ends,
        {name: f"where --input is a TREC run: its {what}" for name, what in FILES_OF_RUN.items()},
        "doc_id=pid,text=body; text files may say "
        + "; ".join(f"{name}: {', '.join(others)}" for name, (_, *others) in ACCEPTED.items() if others),
    )
    ends.add_argument(
        "--keep_columns",
        type=names,
        action="extend",
        default=[],
        metavar="A,B",
        help="columns of queries or candidates to copy",
    )
    ends.add_argument(
        "--text_template", metavar="TEXT", help="what the model sees of a document, such as '{title} {text}'"
    )
    ends.add_argument("--top_k", type=positive, metavar="K", help="keep each query's best K only; all are ranked")
    ends.add_argument("--run_file", type=not_empty, metavar="FILE", help="also write the ranking as a TREC run")

    add_options(add_model_options(parser), ORDER_OPTIONS)

    running = parser.add_argument_group("running")
    add_options(running, RUN_OPTIONS)
    add_options(running, SCORING_OPTIONS)
    running.add_argument(
        "--max_rejected", type=share, default=1.0, metavar="SHARE", help="of pairs; more rejected are exit code 1"
    )
    running.add_argument("--overwrite", action="store_true", help="delete what an earlier job left in the output")
    running.add_argument(
        "--extend", action="store_true", help="score input files that were added since, of new queries"
    )
    running.add_argument(
        "--retry_rejected",
        choices=list(REASONS),
        metavar="REASON",
        help="score again the pairs that were rejected for this reason, with a listwise model their shards",
    )
    running.add_argument(
        "--dry_run", action="store_true", help="estimate tokens, time and cost from a sample; write nothing"
    )
    add_options(running, PLAN_OPTIONS)
    running.add_argument("--price_per_hour", type=price, metavar="PRICE", help="of one machine, to report the cost")
    return parser
