from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import FixedLength, WhitespaceSplit
from tokenizers.processors import TemplateProcessing

from transforms.scoring.families import tokenise
from transforms.scoring.families.tokenise import Form, Tokens
from transforms.scoring.results import Failure
from transforms.scoring.tokenising.library import Library


def tokenizer() -> Any:
    """One that knows the words a and b, and fails on any other."""
    backend = Tokenizer(WordLevel({"a": 10, "b": 11, "[S]": 0}, unk_token="[UNK]"))
    backend.pre_tokenizer = WhitespaceSplit()
    backend.post_processor = TemplateProcessing("[S] $A", "[S] $A $B", special_tokens=[("[S]", 0)])
    return SimpleNamespace(backend_tokenizer=backend)


def ids(tokens: Tokens, text: str) -> list[int] | str:
    known = tokens[text]
    return known.reason if isinstance(known, Failure) else known.tolist()


def test_texts_become_ids_without_special_tokens() -> None:
    tokens = Tokens(tokenizer())
    tokens.add(["a b a", "b", "", " "])
    assert [ids(tokens, text) for text in ("a b a", "b", "", " ")] == [[10, 11, 10], [11], [], []]
    assert isinstance(tokens["b"], np.ndarray)
    assert tokens["b"].dtype == np.int32


def test_a_text_is_tokenised_once() -> None:
    tokens = Tokens(tokenizer())
    tokens.add(["a", "b", "a"])
    assert tokens.count == 2
    tokens.add(iter(["a", "a b"]))
    assert tokens.count == 3
    assert ids(tokens, "a b") == [10, 11]


def test_a_text_that_the_tokenizer_fails_on_fails_alone() -> None:
    tokens = Tokens(tokenizer())
    tokens.add(["a", "c", "b"])
    assert [ids(tokens, text) for text in "acb"] == [[10], "tokenizer_error", [11]]
    assert tokens["c"] == Failure(
        "tokenizer_error", "Exception: WordLevel error: Missing [UNK] token from the vocabulary"
    )


def test_a_lone_surrogate_fails_alone() -> None:
    tokens = Tokens(tokenizer())
    tokens.add(["a", "\ud800"])
    assert [ids(tokens, text) for text in ("a", "\ud800")] == [[10], "tokenizer_error"]


def test_a_text_with_a_token_beyond_the_embeddings_fails_alone() -> None:
    wide = tokenizer()
    wide.rows = 11
    tokens = Tokens(wide)
    tokens.add(["a", "a b"])
    assert [ids(tokens, text) for text in ("a", "a b")] == [[10], "tokenizer_error"]
    assert tokens["a b"] == Failure("tokenizer_error", "token 11 is beyond the model's 11 embeddings")


def test_a_panic_of_the_library_fails_its_text_alone() -> None:
    broken = tokenizer()
    broken.backend_tokenizer.pre_tokenizer = FixedLength(0)  # divides by zero where there is anything to divide
    tokens = Tokens(broken)
    tokens.add(["a", ""])
    assert [ids(tokens, text) for text in ("a", "")] == ["tokenizer_error", []]
    assert tokens["a"] == Failure("tokenizer_error", "PanicException: chunk size must be non-zero")


def test_the_detail_of_a_failure_is_one_line() -> None:
    class FailingTokenizer:
        def encode_batch_fast(self, texts: list[str], **options: bool) -> None:
            raise ValueError("first line\n  second line")

        encode = encode_batch_fast

    assert Library(FailingTokenizer()).encode(["a"]) == [
        Failure("tokenizer_error", "ValueError: first line second line")
    ]


def test_texts_are_tokenised_in_lists_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenise, "BATCH_CHARACTERS", 5)
    assert list(tokenise.batches_of(["ab", "cde", "f", "longer than that", "", "g"])) == [
        ["ab", "cde"],
        ["f"],
        ["longer than that"],
        ["", "g"],
    ]
    assert list(tokenise.batches_of([])) == []


def test_texts_are_read_together_wherever_they_were_tokenised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenise, "BATCH_CHARACTERS", 3)
    tokens = Tokens(tokenizer())
    tokens.add(["a b", "c"])  # "c" fails
    tokens.add(["b b a", "b"])
    texts = tokens.read(["b", "c", "a b", "b", "a", ""])
    rows = [texts.ids[row].tolist() for row in range(6)]
    assert rows == [[11], [], [10, 11], [11], [10], []]
    assert texts.failures == {1: tokens["c"]}
    again = tokens.read(["b b a", "b b a"])
    assert [again.ids[row].tolist() for row in range(2)] == [[11, 11, 10]] * 2
    assert np.shares_memory(again.ids.data, tokens["b b a"])  # nothing is copied
    assert len(tokens.read([]).ids) == 0


def test_a_text_has_a_number_in_each_form_and_is_tokenised_once_in_it() -> None:
    tokens, form = Tokens(tokenizer()), Form("a ", " b")
    texts = tokens.read(["b", "c", "b"], form)  # "a c b" fails
    assert [texts.ids[row].tolist() for row in range(3)] == [[10, 11, 11], [], [10, 11, 11]]
    assert list(texts.failures) == [1]
    assert tokens.numbers(["b", "c"], form).tolist() == [0, 1]
    assert tokens.numbers(["a", "b"]).tolist() == [2, 3]
    assert tokens.of(np.array([3, 0])).ids.flat().tolist() == [11, 10, 11, 11]
    assert tokens.count == 4
