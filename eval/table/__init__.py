"""Make the comparison of a benchmark's results: table.md, table.json and one self-contained page, table.html."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from eval.ranking.files import writing
from transforms.base.errors import UserError

TITLE = "Comparison of rerankers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("results", metavar="RESULTS", help="directory that pipelines.benchmark --output named")
    parser.add_argument("--output", metavar="DIR", type=Path, help="for the three files (default: RESULTS)")
    parser.add_argument("--title", default=TITLE, metavar="TEXT", help=f"of the page (default: {TITLE})")


def run(args: argparse.Namespace) -> None:
    """Writes the three files and prints the table's headline.

    Raises:
        UserError: there are no results, one is damaged, or the files cannot be written there.
        OSError: a file cannot be written.
    """
    from eval.table.cells import read_cells
    from eval.table.content import contents

    if args.output is None and "://" in args.results:
        raise UserError("--output: name a local directory for the table of remote results")
    output = args.output or Path(args.results)
    told = contents(*read_cells(args.results)) | {
        "title": args.title,
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
    # Matplotlib and Jinja2, which other commands do without.
    from eval.table.page import headline, html, markdown
    from eval.table.plots import draw

    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output}: is a file; give a directory")
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    texts = {
        "table.json": json.dumps(told, indent=2, ensure_ascii=False) + "\n",
        "table.md": markdown(told),
        "table.html": html(told, draw(told)),
    }
    for name, text in texts.items():
        with writing(output / name):
            (output / name).write_text(text, encoding="utf-8")
    print(headline(told))
    print(f"written to {output}: {', '.join(texts)}")
