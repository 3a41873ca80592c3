"""`python -m eval table`: writes the comparison, and prints its headline."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from eval.ranking.files import write_text, writing
from eval.table.cells import read_cells
from eval.table.content import contents
from eval.table.options import TableRequest
from eval.table.page import headline, html, markdown
from eval.table.values import read_values
from eval.table.view import as_asked
from transforms.base.json_text import indented

# What all means are over, by --only_run_queries.
DENOMINATORS = {
    False: "Measured are means over all queries of the judgements; a query without candidates counts 0. A language's "
    "are those of its queries with candidates, since only these have a language.",
    True: "Measured are means over the queries that have candidates, languages and data sets alike.",
}


def run(request: TableRequest) -> None:
    """Writes the three files and prints the table's headline.

    Raises:
        UserError: there are no results, one is damaged, or the files cannot be written there.
        OSError: a file cannot be written.
    """
    output = request.output or Path(request.results)
    made, failures = read_cells(request.results)
    from eval.table.plots import draw  # takes seconds

    values = read_values(request.results, made)
    cells = [as_asked(cell, request.measures, request.only_run_queries) for cell in made]
    content = contents(cells, failures, values, request.measures) | {
        "queries": DENOMINATORS[request.only_run_queries],
        "title": request.title,
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    texts = {
        "table.json": indented(content),
        "table.md": markdown(content),
        "table.html": html(content, draw(content)),
    }
    for name, text in texts.items():
        write_text(output / name, text)
    print(headline(content))
    print(f"written to {output}: {', '.join(texts)}")
