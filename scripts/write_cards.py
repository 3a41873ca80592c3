"""Write the table of cards into docs/speed.md, from the data that plans are made of.

make docs
"""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.rerank.cards import Measurement, measured

PAGE = Path(__file__).resolve().parent.parent / "docs" / "speed.md"
HEAD = (
    "| card | model | scored | tokens a pair | core: pairs/s | tokens/s | of the ceiling | whole job: pairs/s | "
    "best other: pairs/s | measured |\n|---|---|---|---|---|---|---|---|---|---|\n"
)


def page() -> str:
    """The page with the table as the data is now."""
    text = PAGE.read_text(encoding="utf-8")
    table = HEAD + "".join(map(row, measured()))
    return re.sub(r"^\| card \|(?:.*\n\|)*.*\n", lambda _: table, text, flags=re.MULTILINE)


def row(one: Measurement) -> str:
    """A measurement as a line of the table."""
    cells = [
        one.card,
        one.model,
        one.work,
        f"{one.tokens_per_pair}",
        f"{one.core:,}",
        f"{one.core * one.tokens_per_pair / 1e6:.2f}M",
        "" if one.ceiling is None else f"{one.core / one.ceiling:.0%}",
        "" if one.job is None else f"{one.job:,}",
        "" if one.peer is None else f"{one.peer:,}",
        f"{one.date}, {one.commit}, {one.dtype}",
    ]
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
