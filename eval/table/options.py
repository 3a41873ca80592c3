"""The arguments of `python -m eval table`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from transforms.base.arguments import not_empty
from transforms.base.request import Check, Request

TITLE = "Comparison of rerankers"


@dataclass(frozen=True, kw_only=True)
class TableRequest(Request):
    """What to make a table of, and where."""

    results: str
    output: Path | None
    measures: tuple[str, ...]
    only_run_queries: bool
    title: str

    def checks(self) -> Iterable[Check]:
        """Results on another machine without a place for the table here, and a place that is a file."""
        return self._output_complaints, self._results_complaints

    def _output_complaints(self) -> Iterator[str]:
        if self.output is not None and self.output.exists() and not self.output.is_dir():
            yield f"--output {self.output}: is a file; give a directory"

    def _results_complaints(self) -> Iterator[str]:
        if self.output is None and "://" in self.results:
            yield "--output: name a local directory for the table of remote results"


def table(parser: argparse.ArgumentParser) -> None:
    """Make the comparison of a benchmark's results: table.md, table.json and one self-contained page, table.html."""
    parser.add_argument(
        "results", metavar="RESULTS", type=not_empty, help="directory that pipelines.benchmark --output named"
    )
    parser.add_argument("--output", metavar="DIR", type=Path, help="for the three files (default: RESULTS)")
    parser.add_argument(
        "--measures",
        nargs="+",
        action="extend",
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
