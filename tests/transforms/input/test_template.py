from __future__ import annotations

import pyarrow as pa
import pytest

from transforms.base.errors import UserError
from transforms.input.template import parse_template, render, uses_title

TITLES = pa.array(["T", "", None, " "])
TEXTS = pa.array(["a", "b", "c", ""])


def test_without_a_template_the_title_comes_first_where_there_is_one() -> None:
    assert render(None, TITLES, TEXTS).to_pylist() == ["T a", "b", "c", "  "]


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("{title} {text}", ["T a", " b", " c", "  "]),
        ("{text}", ["a", "b", "c", ""]),
        ("{title}", ["T", "", "", " "]),
        ("{{{title}}}: {text}{text}!", ["{T}: aa!", "{}: bb!", "{}: cc!", "{ }: !"]),
    ],
)
def test_a_template_is_filled_in(template: str, texts: list[str]) -> None:
    assert render(parse_template(template), TITLES, TEXTS).to_pylist() == texts


def test_no_documents() -> None:
    nothing = pa.nulls(0, pa.string())
    assert render(None, nothing, nothing).to_pylist() == []
    assert render(parse_template("{title} {text}"), nothing, nothing).to_pylist() == []


def test_whether_the_title_is_read() -> None:
    assert [uses_title(None), uses_title(parse_template("{title}")), uses_title(parse_template("{text}"))] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{body}", "{body} is not a field of a document"),
        ("{}", "{} is not a field of a document"),
        ("{0}", "{0} is not a field of a document"),
        ("{text!r}", "{text!r} is not a field of a document"),
        ("{text:>9}", "{text:>9} is not a field of a document"),
        ("{text.real}", "{text.real} is not a field of a document"),
        ("{title} {text", "expected '}' before end of string"),
        ("{text}}", "single '}' encountered in format string"),
        ("text", "without a field every document reads the same"),
        ("", "without a field every document reads the same"),
    ],
)
def test_a_bad_template(template: str, problem: str) -> None:
    with pytest.raises(UserError) as error:
        parse_template(template)
    assert str(error.value) == (
        f"--text_template {template!r}: {problem}; it may hold {{title}} and {{text}}, "
        "and doubles braces that stand for themselves"
    )
