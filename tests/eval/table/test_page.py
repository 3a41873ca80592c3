"""The comparison as files: the page, its plots, Markdown, and the command that writes them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from eval.__main__ import main
from eval.table.cells import Cell, FailedCell
from eval.table.content import contents
from eval.table.page import anchor, headline, html, markdown, score, signed, speed
from eval.table.plots import draw, shorten
from tests.support.benchmark_cells import PLAIN, TABLE_FIRST_STAGE, benchmark, cell, write, write_failure

V3 = "jinaai/jina-reranker-v3"
EVIL = "<script>alert(1)</script>&\"'|`$x_{2$ {{ 7*191919 }}"
EVIL_DATA = "$x_{2$ <img src=x onerror=alert(2)>\n| co #010203"
VOID = {"meta", "br", "img", "link", "input"}


class Page(HTMLParser):
    """Reads a page strictly: what opens is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def filled(cells: list[Cell], failures: tuple[FailedCell, ...] = ()) -> dict[str, object]:
    return contents(cells, failures) | {"title": "A title", "made": "today", "queries": "All of them."}


def test_the_terminal_names_the_cells_that_failed() -> None:
    lines = headline(filled([cell("ours", "own", 0.5)], (FailedCell("theirs", "own", "no\nweights"),))).splitlines()
    assert lines[-1] == "theirs on own failed: no weights"


def evil() -> dict[str, object]:
    cells = [
        cell(EVIL, EVIL_DATA, 0.5, EVIL, notes=[EVIL], rejected={"pairs": 1, "by_reason": {EVIL: 1}}),
        cell(EVIL, "beir/nq", 0.5, trained_on=EVIL, languages={EVIL: {"queries": 1, "reranked": 0.5}}),
    ]
    return filled(cells, (FailedCell(EVIL, "own", EVIL),)) | {"title": EVIL}


def test_what_comes_from_outside_is_escaped_in_the_page() -> None:
    page = Page(html(evil(), draw(evil())))
    assert not {"script", "img", "iframe", "link", "object", "base", "form"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert any(EVIL in text for text in page.texts)
    assert not any("1343433" in text for text in page.texts)  # no template in a name is run


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = Page(html(filled([PLAIN, *benchmark(V3, "beir")]), draw(filled([PLAIN, *benchmark(V3, "beir")]))))
    assert not [value for name, value in page.attributes if name in {"src", "srcset", "data", "poster"}]
    links = [value or "" for name, value in page.attributes if name in {"href", "xlink:href"}]
    inside = {link[1:] for link in links if link.startswith("#")}
    assert inside <= set(page.ids)
    assert all(link.startswith("https://") for link in links if not link.startswith("#"))
    assert len(page.ids) == len(set(page.ids))
    text = "".join(page.texts)
    assert "@import" not in text
    assert re.findall(r"url\((?!#)", text) == []


def test_the_page_says_what_is_missing_and_where_figures_are_from() -> None:
    partly = [*benchmark(V3, "beir")[1:], replace(PLAIN, fingerprint="cafe0123", outdated="no disk")]
    text = " ".join(" ".join(Page(html(filled(partly, (FailedCell("m", "own", "no weights"),)), {})).texts).split())
    assert "12 of 13 data sets count, so there is no average; missing are TREC-COVID" in text
    assert "m on own failed: no weights" in text
    assert "small-cross-encoder on own shows an older figure: no disk" in text
    assert "small-cross-encoder on own shows an older figure: no disk" in markdown(filled(partly))
    assert "No data set was measured of MIRACL, MKQA, CoIR." in text
    assert "fingerprint cafe0123" in text
    assert "execution.kernel packed_sdpa" in text
    assert "No data set here has a published value" not in " ".join(
        Page(html(filled(partly), draw(filled(partly)))).texts
    )


def test_markdown_tables_hold_together_whatever_the_names() -> None:
    text = markdown(evil())
    assert "<script" not in text
    assert "<img" not in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1
        assert re.match(r"\|.*\|\n\|[-:|]+\|\n\|", table)


def test_markdown_has_published_and_measured_values() -> None:
    text = markdown(filled(benchmark(V3, "beir", added=1.0)))
    assert "| jinaai/jina-reranker-v3 | 0.6B | 61.94 | 61.85 | 62.85 | +0.91 | +1.00 | 13 of 13 |" in text
    assert "| BAAI/bge-reranker-v2-m3 | 0.6B | 56.51 | 56.51 | – | – | – | 0 of 13 |" in text  # noqa: RUF001


def test_the_order_of_the_input_is_called_so_and_nothing_is_gained_over_it() -> None:
    measures = [{"measure": "nDCG@10", "input_order": 0.25, "reranked": 0.5}]
    content = filled([replace(PLAIN, first_stage=None, measures=measures)])
    text = markdown(content)
    assert "nDCG@10; order of the input 25.00; recall of the candidates 90.00;" in text
    assert "first stage as it was given" not in text
    row = next(line for line in text.splitlines() if line.startswith("| small-cross-encoder |") and "50.00" in line)
    assert [field.strip() for field in row.split("|")[-5:-3]] == ["–", "–"]  # noqa: RUF001
    page = " ".join(" ".join(Page(html(content, {})).texts).split())
    assert "25.00 order of the input" in page
    assert "+25.00" not in text + page


def points(svg: str) -> list[str]:
    """Styles of a plot's points; axes and their ticks are in groups of other names."""
    root = ElementTree.fromstring(svg)
    uses = root.iter("{http://www.w3.org/2000/svg}use")
    return [use.get("style", "") for use in uses if "var(--series-" in use.get("style", "")]


def test_plots_have_a_point_for_each_figure() -> None:
    cells = [*benchmark(V3, "beir"), replace(PLAIN, trained_on="seen"), cell("other", "own", 0.6)]
    plots = draw(filled(cells))
    assert {name: len(points(plot.svg)) for name, plot in plots.items()} == {
        "published": 13,
        "gain": 15,
        "throughput": 15,
    }
    hollow = [style for style in points(plots["gain"].svg) if "fill: none" in style or "fill-opacity: 0" in style]
    assert len(hollow) == 1
    assert plots["throughput"].shapes == {"BEIR": "●", "own": "■"}
    assert plots["published"].colours == {V3: 0}


def test_plots_without_figures_are_left_out() -> None:
    bare = replace(PLAIN, first_stage=None, run=PLAIN.run | {"pairs_per_second": None})  # type: ignore[operator]
    assert draw(filled([bare])) == {}


def test_plots_are_the_same_each_time_and_in_the_colours_of_the_page() -> None:
    first, second = draw(filled([PLAIN])), draw(filled([PLAIN]))
    assert first == second
    drawn = set(re.findall(r"#[0-9a-f]{6}", "".join(plot.svg for plot in first.values())))
    assert drawn == set()


@pytest.mark.parametrize(("name", "short"), [("a\nb\x00c", "a b c"), ("x" * 40, "x" * 35 + "…"), ("x" * 36, "x" * 36)])
def test_names_are_shortened_for_plots(name: str, short: str) -> None:
    assert shorten(name) == short


def test_figures_are_written_as_in_print() -> None:
    assert [score(None), score(61.854), score(7.0)] == ["–", "61.85", "7.00"]  # noqa: RUF001
    assert [signed(value) for value in (None, 0.004, -0.004, 1.0, -1.005)] == [
        "–",  # noqa: RUF001
        "0.00",
        "0.00",
        "+1.00",
        "−1.00",  # noqa: RUF001
    ]
    assert [speed(value) for value in (None, 1234.5, 12.34, 0.5)] == ["–", "1,234", "12.3", "0.5"]  # noqa: RUF001
    assert anchor("beir/nq x") == "d-beir-2f-nq-20-x"


def test_the_command_writes_three_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "results", PLAIN, cell(V3, "beir/scifact", 0.7651, TABLE_FIRST_STAGE))
    write_failure(tmp_path / "results", V3, "own", "no weights")
    assert (
        main(["table", str(tmp_path / "results"), "--output", str(tmp_path / "new" / "out"), "--title", "T & U"]) == 0
    )
    names = {path.name for path in (tmp_path / "new" / "out").iterdir()}
    assert names == {"table.json", "table.md", "table.html"}
    content = json.loads((tmp_path / "new" / "out" / "table.json").read_text(encoding="utf-8"))
    assert content["title"] == "T & U"
    assert content["missing"]["failed"][0]["failed"] == "no weights"
    assert "<title>T &amp; U</title>" in (tmp_path / "new" / "out" / "table.html").read_text(encoding="utf-8")
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split() == ["beir/scifact", V3, "nDCG@10", "40.00", "76.51", "+36.51", "76.51"]


def test_the_command_without_results_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: no cells/")


def test_a_name_has_no_control_characters_in_markdown() -> None:
    """Which a terminal would obey that shows the file."""
    text = markdown(filled([replace(PLAIN, model="model\x1b[2J\x9b1m")]))
    assert r"| model\\x1b\[2J\\x9b1m |" in text
    assert "\x1b" not in text
