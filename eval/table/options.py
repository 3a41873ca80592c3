"""The arguments of `python -m eval table`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transforms.base.request import Request

TITLE = "Comparison of rerankers"


@dataclass(frozen=True, kw_only=True)
class TableRequest(Request):
    """What to make a table of, and where."""

    results: str
    output: Path | None
    measures: tuple[str, ...]
    only_run_queries: bool
    title: str

    def complaints(self) -> Iterator[str]:
        """Remote results without a place for the table."""
        if self.output is None and "://" in self.results:
            yield "--output: name a local directory for the table of remote results"


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
