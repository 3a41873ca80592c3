"""Renders the comparison as Markdown and as a page. Knows only the contents, as they stand in table.json."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from eval.ranking.rendering import environment
from eval.ranking.summary import align
from transforms.base.errors import shown

if TYPE_CHECKING:
    from eval.table.plots import Plot

NONE = "–"  # noqa: RUF001
CAPTIONS = {
    "published": (
        "Measured against published",
        "A point for each data set and model; on the dashed line both agree.",
        "No data set here has a published value of one of its models.",
    ),
    "gain": (
        "Gain over the first stage",
        "Points of the measure that reranking adds to the order of the candidates.",
        "No first-stage order is known of any data set here.",
    ),
    "throughput": (
        "Quality against throughput",
        "Speeds are those of each job's last run, loading included, on the machine that its provenance names; they "
        "compare only where that is the same.",
        "No job here reports its speed.",
    ),
}


def html(content: Mapping[str, Any], plots: Mapping[str, Plot]) -> str:
    """The page: everything in it, no script, and all text from elsewhere escaped.

    Args:
        content: see `eval.table.content.contents`; with title and made.
        plots: see `eval.table.plots.draw`.
    """
    templates = environment("eval.table", autoescape=True)
    templates.filters |= FILTERS
    drawn = {name: plot._replace(svg=Markup(plot.svg)) for name, plot in plots.items()}
    return templates.get_template("table.html.jinja").render(
        content, plots=drawn, captions=CAPTIONS, facts=facts, anchor=anchor
    )


def markdown(content: Mapping[str, Any]) -> str:
    """The tables without plots, for a README."""
    templates = environment(
        "eval.table", autoescape=False, finalize=lambda value: _plain(value) if isinstance(value, str) else value
    )
    templates.filters |= FILTERS
    return re.sub(r"\n{3,}", "\n\n", templates.get_template("table.md.jinja").render(content)).strip() + "\n"


def headline(content: Mapping[str, Any]) -> str:
    """The measured values by data set for a terminal, and which cells failed."""
    rows = [["data set", "model", "measure", "first stage", "measured", "gain", "published"]]
    for section in content["datasets"]:
        for row in section["rows"]:
            figures = [score(row["first_stage"]), score(row["measured"]), signed(row["gain"]), score(row["published"])]
            name = " ".join([row["model"], *row["marks"]])
            rows.append([section["name"], name, section["measure"], *figures])
    lines = align([[shown(cell) for cell in row] for row in rows])
    lines += [f"{mark} {text}" for mark, text in content["marks"].items()]
    failed = content["missing"]["failed"]
    lines += [shown(f"{cell['model']} on {cell['dataset']} failed: {cell['failed']}") for cell in failed]
    return "\n".join(lines)


def score(value: float | None) -> str:
    """A hundredfold score as it is published."""
    return NONE if value is None else f"{value:.2f}"


def signed(value: float | None) -> str:
    """A difference of two scores, with a real minus sign."""
    if value is None:
        return NONE
    shown = f"{value:+.2f}".replace("-", "−")  # noqa: RUF001
    return "0.00" if shown[1:] == "0.00" else shown


def speed(value: float | None) -> str:
    """Pairs a second, to three digits or so."""
    return NONE if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def interval(row: Mapping[str, Any]) -> str:
    """The 95 % interval of a row's measured mean."""
    return NONE if row["low"] is None else f"{row['low']:.2f} to {row['high']:.2f}"


def cost(value: float | None) -> str:
    """An amount of money, to three digits or so."""
    return NONE if value is None else f"{value:,.2f}" if value >= 10 else f"{value:.3g}"


def anchor(name: str) -> str:
    """A name as an id for a link within the page: letters and digits, others as their code."""
    return "d-" + re.sub(r"[^A-Za-z0-9]", lambda match: f"-{ord(match[0]):x}-", name)


def facts(cell: Mapping[str, Any]) -> list[tuple[str, str]]:
    """All of a cell that is not a table's figure, by dotted names."""
    return [(name, text) for name, value in cell.items() for name, text in _flat(name, value)]


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [pair for key, inner in value.items() for pair in _flat(f"{name}.{key}", inner)]
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        return [pair for number, item in enumerate(value, 1) for pair in _flat(f"{name}.{number}", item)]
    if isinstance(value, list):
        return [(name, "; ".join(map(str, value)))] if value else []
    return [] if value is None else [(name, value if isinstance(value, str) else json.dumps(value))]


def _plain(text: str) -> str:
    """A text from elsewhere in a Markdown table: no markup, no line breaks, no control characters."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(shown(text), quote=False))


FILTERS: Mapping[str, Callable[..., str]] = {
    "score": score,
    "signed": signed,
    "speed": speed,
    "interval": interval,
    "cost": cost,
}
