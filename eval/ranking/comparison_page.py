"""Renders the report of `compare` as a page. Knows only the report, as it stands in the JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eval.ranking.comparison import TEXT_UNKNOWN, interval, p_value
from eval.ranking.rendering import environment
from transforms.base.errors import shown

LONGEST = 2_000  # characters shown of a text


def html(report: Mapping[str, Any]) -> str:
    """The page: everything in it, no script, all text from elsewhere escaped and without control characters.

    Args:
        report: of `compare`, with what `eval.commands.moved.add_moved` adds.
    """
    templates = environment(
        "eval.ranking", autoescape=True, finalize=lambda value: shown(value) if isinstance(value, str) else value
    )
    templates.filters |= {"p": p_value, "interval": interval, "begin": _begin}
    return templates.get_template("compare.html.jinja").render(report)


def _begin(text: str | None) -> str:
    """A text, cut where it is long."""
    if text is None:
        return TEXT_UNKNOWN
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
