from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tokenizers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from tests.support import tiny
from transforms.base.errors import UserError
from transforms.scoring.families.pairs import Template, longest_first, template_of, windows
from transforms.scoring.packed.ragged import Growing, Ragged, ragged
from transforms.scoring.weights import checkpoints

BERT = Template(prefix=(2,), middle=(3,), suffix=(3,), typed_middle=1, alone=2)
XLM_ROBERTA = Template(prefix=(0,), middle=(2, 2), suffix=(2,), typed_middle=None, alone=2)


def ids(*values: int) -> Ragged:
    return ragged([values])


def windows_of(tokens: int, size: int, overlap: int) -> tuple[tuple[int, int], ...]:
    """The ranges of one text's windows, which are the same beside those of another text."""
    text, first, length = windows(np.array([7, tokens]), np.array([2, size]), overlap)
    mine = text == 1
    return tuple(
        (start, start + count) for start, count in zip(first[mine].tolist(), length[mine].tolist(), strict=True)
    )


def kept_of(first: int, second: int, room: int) -> tuple[int, int]:
    one, other = longest_first(np.array([first]), np.array([second]), room)
    return int(one[0]), int(other[0])


def tokenizer(pair: str) -> Any:
    """One whose vocabulary is a 10, b 11, [S] 0, [E] 1, and which builds pairs as this says."""
    backend = Tokenizer(WordLevel({"a": 10, "b": 11, "[S]": 0, "[E]": 1}, unk_token="[E]"))
    backend.pre_tokenizer = WhitespaceSplit()
    backend.post_processor = TemplateProcessing("[S] $A", pair, special_tokens=[("[S]", 0), ("[E]", 1)])
    return SimpleNamespace(backend_tokenizer=backend, model_input_names=["input_ids", "token_type_ids"])


def test_template_of_a_bert(tmp_path: Path) -> None:
    assert template_of(checkpoints.load_tokenizer(checkpoints.locate(str(tiny.bert(tmp_path))))) == BERT


def test_template_of_an_xlm_roberta(tmp_path: Path) -> None:
    assert template_of(checkpoints.load_tokenizer(checkpoints.locate(str(tiny.xlm_roberta(tmp_path))))) == XLM_ROBERTA


@pytest.mark.parametrize(
    ("pair", "template"),
    [
        ("$A:0 $B:1", Template((), (), (), 0, 1)),
        ("[S]:0 $A:0 [E]:0 [S]:1 $B:1", Template((0,), (1, 0), (), 1, 1)),  # the second [S] is of type 1
        ("[S]:0 $A:0 [E]:0 $B:0 [E]:0", Template((0,), (1,), (1,), None, 1)),
    ],
)
def test_template_of_other_forms(pair: str, template: Template) -> None:
    assert template_of(tokenizer(pair)) == template


@pytest.mark.parametrize("pair", ["$B $A", "$A $B $A", "[S]:1 $A:1 $B:0"])
def test_template_of_refuses_forms_that_are_not_query_then_document(pair: str) -> None:
    with pytest.raises(UserError, match="not query, then document"):
        template_of(tokenizer(pair))


def test_join_of_a_bert_begins_the_second_segment_after_the_separator() -> None:
    [joined] = BERT.join(ids(10, 11), ids(20, 21, 22), Growing().join)
    assert joined.ids.tolist() == [2, 10, 11, 3, 20, 21, 22, 3]
    assert joined.reads.tolist() == [0]
    assert joined.second_segment == 4


def test_join_of_an_xlm_roberta_has_one_segment() -> None:
    [joined] = XLM_ROBERTA.join(ids(10), ids(20), Growing().join)
    assert joined.ids.tolist() == [0, 10, 2, 2, 20, 2]
    assert joined.second_segment == 6


def test_join_of_empty_texts() -> None:
    [joined] = BERT.join(ids(), ids(), Growing().join)
    assert joined.ids.tolist() == [2, 3, 3]
    assert joined.second_segment == 2


@pytest.mark.parametrize("template", [BERT, XLM_ROBERTA])
def test_size_counts_the_special_tokens(template: Template) -> None:
    assert [template.size] == template.join(ids(), ids(), Growing().join).lengths.tolist()


@pytest.mark.parametrize(
    ("tokens", "size", "overlap", "ranges"),
    [
        (0, 10, 2, ((0, 0),)),
        (1, 10, 2, ((0, 1),)),
        (10, 10, 2, ((0, 10),)),
        (11, 10, 2, ((0, 10), (1, 11))),
        (18, 10, 2, ((0, 10), (8, 18))),  # two windows fit exactly
        (19, 10, 2, ((0, 10), (8, 18), (9, 19))),
        (30, 10, 0, ((0, 10), (10, 20), (20, 30))),
        (30, 16, 80, ((0, 16), (12, 28), (14, 30))),  # overlap: a quarter of a window at most
        (5, 3, 80, ((0, 3), (2, 5))),  # a quarter of 3 is none
        (3, 1, 80, ((0, 1), (1, 2), (2, 3))),
        (3056, 1011, 80, ((0, 1011), (931, 1942), (1862, 2873), (2045, 3056))),
    ],
)
def test_windows(tokens: int, size: int, overlap: int, ranges: tuple[tuple[int, int], ...]) -> None:
    assert windows_of(tokens, size, overlap) == ranges


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 17])
@pytest.mark.parametrize("overlap", [0, 1, 3, 80])
def test_windows_cover_every_token_and_are_full(size: int, overlap: int) -> None:
    for tokens in range(1, 60):
        ranges = windows_of(tokens, size, overlap)
        assert {place for start, end in ranges for place in range(start, end)} == set(range(tokens))
        assert {end - start for start, end in ranges} == {min(tokens, size)}


@pytest.mark.parametrize(
    ("first", "second", "room", "lengths"),
    [
        (3, 4, 7, (3, 4)),
        (3, 4, 6, (3, 3)),
        (2, 9, 6, (2, 4)),
        (9, 2, 6, (4, 2)),
        (9, 9, 7, (3, 4)),
        (8, 9, 7, (3, 4)),
        (9, 8, 7, (4, 3)),
        (0, 9, 5, (0, 5)),
    ],
)
def test_longest_first(first: int, second: int, room: int, lengths: tuple[int, int]) -> None:
    assert kept_of(first, second, room) == lengths


def test_longest_first_cuts_as_the_tokenizers_library_does() -> None:
    """But for two versions, which read no more of each text than has room, and then give the longer one nothing."""
    shortened = tokenizers.__version__ in ("0.23.1", "0.23.2")
    backend = tokenizer("$A $B").backend_tokenizer
    for room in range(1, 14):
        backend.enable_truncation(room, strategy="longest_first")
        for first in range(13):
            for second in range(13):
                sides = backend.encode("a " * first, "b " * second).sequence_ids
                read = (min(first, room), min(second, room)) if shortened else (first, second)
                assert kept_of(*read, room) == (sides.count(0), sides.count(1)), (first, second, room)
