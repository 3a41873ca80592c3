"""The command's options as data, and its parser."""

from __future__ import annotations

import argparse

from pipelines.running.options import ORDER_OPTIONS, RUN_OPTIONS, add_model_options, add_options
from transforms.base.arguments import positive
from transforms.base.reading import Parser


def build_parser() -> argparse.ArgumentParser:
    """All options of the command."""
    parser = Parser(
        prog="python -m pipelines.score",
        description="Score lists as they come: JSON lines on standard input to JSON lines on standard output.",
        epilog="A line is a list (query_id, query, candidates) or a pair (query_id, query, doc_id, text). Exit code 1 "
        "where a line, a candidate or a pair has no score.",
    )
    parser.add_argument("--top_k", type=positive, metavar="K", help="give each list's best K only; all are ranked")
    add_options(add_model_options(parser), ORDER_OPTIONS)
    add_options(parser.add_argument_group("running"), RUN_OPTIONS)
    return parser
