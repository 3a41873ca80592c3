"""The arguments of `python -m eval table`."""

from __future__ import annotations

import argparse
from pathlib import Path

TITLE = "Comparison of rerankers"


def table(parser: argparse.ArgumentParser) -> None:
    """Make the comparison of a benchmark's results: table.md, table.json and one self-contained page, table.html."""
    parser.add_argument("results", metavar="RESULTS", help="directory that pipelines.benchmark --output named")
    parser.add_argument("--output", metavar="DIR", type=Path, help="for the three files (default: RESULTS)")
    parser.add_argument(
        "--measures",
        nargs="+",
        default=[],
        metavar="MEASURE",
        help="of those that the cells were measured by: the table's measure, then further ones as columns (default: "
        "each cell's own)",
    )
    parser.add_argument(
        "--only_run_queries",
        action="store_true",
        help="average over the queries that have candidates; by default over all of the judgements, those without "
        "counting 0",
    )
    parser.add_argument("--title", default=TITLE, metavar="TEXT", help=f"of the page (default: {TITLE})")
