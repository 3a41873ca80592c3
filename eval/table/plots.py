"""The comparison's plots as SVG to stand in a page, in the page's own colours and font. Knows only the contents."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from itertools import cycle
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

# Colours that the drawn text is searched for, and what the page puts there; its style sheet has a light and a dark set.
INK, GRID = "#010203", "#040506"
COLOURS = 12  # of the style sheet; with more models they begin again
SERIES = tuple(f"#0a0b{number:02x}" for number in range(COLOURS))
# Matplotlib's markers and characters like them, for the legend beside the plot.
SHAPES = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "*": "★", "<": "◀", ">": "▶"}
WIDTH = 5.6  # inches, of which the SVG makes 72 points each

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # a "$" in a name is a "$"
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK),
    "grid.color": GRID,
    "grid.linewidth": 0.6,
}


class Plot(NamedTuple):
    """A drawn plot, and what its signs mean.

    Attributes:
        svg: an <svg> element.
        colours: model -> number of its colour, that of the style sheet's --series-N.
        shapes: benchmark or data set -> a character like the shape of its points; empty where shapes mean nothing.
    """

    svg: str
    colours: Mapping[str, int]
    shapes: Mapping[str, str]


Rows = Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]  # a data set's section, and a row of it


def draw(content: Mapping[str, Any]) -> dict[str, Plot]:
    """The plots for which there are figures, by name: published, gain, throughput."""
    rows = [(section, row) for section in content["datasets"] for row in section["rows"]]
    present = {row["model"] for _, row in rows}
    colours = {model: number % COLOURS for number, model in enumerate(m for m in content["models"] if m in present)}
    drawn = {"published": _published(rows, colours), "gain": _gain(rows, colours), "throughput": _speed(rows, colours)}
    return {name: plot for name, plot in drawn.items() if plot is not None}


def label(section: Mapping[str, Any]) -> str:
    """A data set's name among those of all benchmarks."""
    return shorten(" ".join(filter(None, [section["benchmark"], section["title"]])))


def _published(rows: Rows, colours: Mapping[str, int]) -> Plot | None:
    """Measured over published, a point a data set and model, and the line on which they agree."""
    drawn = [row for _, row in rows if row["published"] is not None]
    if not drawn:
        return None
    values = [row[name] for row in drawn for name in ("published", "measured")]
    low, high = min(values) - 2, max(values) + 2

    def plot(axes: Axes) -> None:
        axes.plot([low, high], [low, high], color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        for row in drawn:
            _point(axes, row["published"], row["measured"], colours, row)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", xlabel="published", ylabel="measured")

    return Plot(_svg("published", 4.6, plot), _used(drawn, colours), {})


def _gain(rows: Rows, colours: Mapping[str, int]) -> Plot | None:
    """What reranking adds to the first stage, a line a data set and a point a model."""
    drawn = [(label(section), row) for section, row in rows if row["gain"] is not None]
    if not drawn:
        return None
    names = list(dict.fromkeys(name for name, _ in drawn))[::-1]
    used = _used([row for _, row in drawn], colours)

    def plot(axes: Axes) -> None:
        axes.axvline(0, color=INK, linewidth=0.8)
        for name, row in drawn:
            # Models side by side on a data set's line, so that equal gains do not hide one another.
            shift = (0.5 - (list(used).index(row["model"]) + 0.5) / len(used)) * 0.6
            _point(axes, row["gain"], names.index(name) + shift, colours, row)
        axes.set_yticks(range(len(names)), names)
        axes.set(ylim=(-0.6, len(names) - 0.4), xlabel="difference to the first stage, points")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)

    return Plot(_svg("gain", 0.8 + 0.34 * len(names), plot), used, {})


def _speed(rows: Rows, colours: Mapping[str, int]) -> Plot | None:
    """Score over pairs a second, colours for models and shapes for benchmarks and other data sets."""
    drawn = [(section["benchmark"] or label(section), row) for section, row in rows if row["pairs_per_second"]]
    if not drawn:
        return None
    names = list(dict.fromkeys(name for name, _ in drawn))
    shapes = dict(zip(names, cycle(SHAPES.items()), strict=False))
    speeds = [row["pairs_per_second"] for _, row in drawn]

    def plot(axes: Axes) -> None:
        for name, row in drawn:
            _point(axes, row["pairs_per_second"], row["measured"], colours, row, shapes[name][0])
        axes.set(xscale="log", xlim=(min(speeds) / 1.6, max(speeds) * 1.6), xlabel="pairs a second", ylabel="score")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())

    used = _used([row for _, row in drawn], colours)
    return Plot(_svg("throughput", 4.2, plot), used, {name: sign for name, (_, sign) in shapes.items()})


def _used(rows: Sequence[Mapping[str, Any]], colours: Mapping[str, int]) -> dict[str, int]:
    present = {row["model"] for row in rows}
    return {model: number for model, number in colours.items() if model in present}


def _point(
    axes: Axes, x: float, y: float, colours: Mapping[str, int], row: Mapping[str, Any], marker: str = "o"
) -> None:
    """A point in its model's colour, hollow where the model was trained on the data."""
    colour = SERIES[colours[row["model"]]]
    face = "none" if row["trained_on"] else colour
    axes.plot(x, y, marker, markersize=6, color=colour, markerfacecolor=face, markeredgewidth=1.3, clip_on=False)


def shorten(name: str) -> str:
    """A name for a plot, where a long one would leave no room; line breaks and the like become spaces."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    return plain if len(plain) <= 36 else f"{plain[:35]}…"


def _svg(name: str, height: float, plot: Callable[[Axes], None]) -> str:
    """A figure as an <svg> element; equal figures give equal text."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(True)
        axes.set_axisbelow(True)
        plot(axes)
        stream = StringIO()
        with warnings.catch_warnings():
            # Of letters that Matplotlib's font lacks it only guesses the width; the page draws them.
            warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
            figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return recolour(text[text.index("<svg") :], name)


def recolour(text: str, name: str) -> str:
    """The page's colours and font in place of the drawn ones, and ids that no other plot of the page has."""
    colours = {INK: "var(--ink)", GRID: "var(--rule)"}
    colours |= {colour: f"var(--series-{number})" for number, colour in enumerate(SERIES)}
    for drawn, wanted in colours.items():
        text = text.replace(drawn, wanted)
    text = re.sub(r" font-family: [^;\"]+;", "", text)
    # Matplotlib's own style sheet would hold for the whole page, and its metadata say nothing.
    text = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
