"""Odd values for every key of a checkpoint's files: refused in one line, or the score is that of the reference."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scoring.test_mutations import CASES, TOKENIZER, Case, ours
from tests.support import tiny, tiny_encoder
from tests.support.loaded_once import loaded_once
from tests.support.mutations import Mutant, changed
from transforms.base.errors import UserError

ODD: list[Any] = [None, ["a"], -1, 10**30, "a"]
# One directory a family, and files whose keys another one tries.
UNTRIED: dict[str, tuple[str, ...]] = {
    "BERT encoder": ("tokenizer.json",),
    "cross-encoder of modules": ("config.json", *TOKENIZER),
    "XLM-R cross-encoder": TOKENIZER,
    "yes/no, Qwen3": ("tokenizer.json",),
    "listwise": TOKENIZER,
    "m0": TOKENIZER,
}


def odd(folder: Path, untried: tuple[str, ...]) -> Iterator[Mutant]:
    """Each key of each file, those in objects and lists too, with each of ODD."""
    for file in sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.json")):
        if file not in untried:
            content = tiny.parsed(folder / file)
            yield from (Mutant(file, place, value) for place in places(content) for value in ODD)


def places(content: Any) -> Iterator[tuple[str | int, ...]]:
    """The places of a JSON value's keys, its own among them."""
    yield ()
    items: list[tuple[str | int, Any]] = []
    if isinstance(content, dict):
        items = list(content.items())
    elif isinstance(content, list):
        items = list(enumerate(content))
    for key, value in items:
        yield from ((key, *place) for place in places(value))


@pytest.mark.parametrize(("case", "untried"), [(CASES[name], UNTRIED[name]) for name in UNTRIED], ids=UNTRIED)
def test_an_odd_value_is_refused_in_one_line_or_means_what_it_does_elsewhere(
    tmp_path: Path, case: Case, untried: tuple[str, ...]
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    made = case.make(folder)
    folder = made if isinstance(made, Path) else folder
    wrong = []
    with loaded_once():
        unchanged = ours(folder, case.options)
        for mutant in odd(folder, untried):
            with changed(folder, mutant):
                try:
                    scores = ours(folder, case.options)
                except UserError as error:
                    if "\n" in str(error):
                        wrong.append((mutant, str(error)))
                    continue
                except BaseException as error:
                    wrong.append((mutant, repr(error)))
                    continue
                if not np.allclose(scores, unchanged, atol=1e-5):
                    try:
                        expected = case.reference(folder)
                    except Exception as error:
                        wrong.append((mutant, f"refused by the reference: {error!r}"[:300]))
                        continue
                    scored = np.isfinite(scores)  # a pair without a finite score is rejected
                    if not np.allclose(scores[scored], expected[scored], atol=1e-5):
                        wrong.append((mutant, f"{scores} {expected}"))
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.parametrize("kind", ["single", "pair"])
def test_a_template_of_tokens_that_are_not_there_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    tiny_encoder.bert(tmp_path)
    place = ("post_processor", kind, 0, "SpecialToken", "id")
    with (
        changed(tmp_path, Mutant("tokenizer.json", place, "a")),
        pytest.raises(UserError, match="its tokenizer cannot"),
    ):
        ours(tmp_path, {})
