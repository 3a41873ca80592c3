"""Texts that are read in pieces have the ids of the whole, by the tokenizers library."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tests.scoring.tokenising.judge import different
from transforms.scoring.places import EMBEDDED
from transforms.scoring.tokenising import long_texts, tokeniser
from transforms.scoring.tokenising.library import Library
from transforms.scoring.tokenising.long_texts import BEFORE_BLANKS, BEFORE_BLANKS_AND_STOPS, pieces

# Letters and blanks, what joins to either, stops, and what normalises to something else.
NEIGHBOURS = [
    *(
        "a",
        "b",
        "1",
        "é",
        "ß",
        "İ",
        "п",
        "中",
        "文",
        "か",
        "가",
        "ﬁ",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        ".",
        ",",
        "\u3002",
        "\uff0c",
    ),
    *("\u0301", "\u0306", "\u0308", " \u0308", "\u3099", "\u11a8", "\u200d", "'", "'s", "<", ">", "\ue000", "\u0378"),
]


def load(folder: Path) -> Tokenizer:
    backend: Tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return backend


@pytest.mark.parametrize("longest", [7, 40])
@pytest.mark.parametrize("name", ["bert", "xlm-r", "qwen3"])
def test_the_ids_are_the_same_wherever_a_text_is_cut(
    fixtures: Path, name: str, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = EMBEDDED["small-cross-encoder"]
    backend = load(embedded if name == "bert" else fixtures / "models" / "tokenizers" / name)
    for module in (long_texts, tokeniser):
        monkeypatch.setattr(module, "LONGEST", longest)
    draw = random.Random(longest)
    neighbours = [*NEIGHBOURS, *(token.content for token in backend.get_added_tokens_decoder().values())][:45]
    texts = ["".join(draw.choices(neighbours, k=draw.randrange(longest, 80))) for _ in range(2_000)]
    assert different(backend, texts) == []


@pytest.mark.parametrize("name", ["xlm-r", "qwen3"])
def test_neither_the_engine_nor_the_library_reads_a_long_text_at_once(
    fixtures: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, encode, pieces = load(fixtures / "models" / "tokenizers" / name), Library.encode, list[str]()

    def noted(self: Library, texts: list[str]) -> object:
        pieces.extend(texts)
        return encode(self, texts)

    monkeypatch.setattr(Library, "encode", noted)
    text = "a few words <mask>\u0378 <|im_end|> and more. " * 20_000  # which the engines leave to the library
    tokeniser.Tokeniser(backend).encode([text])
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 100_000


def test_a_piece_ends_at_the_last_place_or_goes_on_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_texts, "LONGEST", 6)
    assert [*pieces("ab cd efghijklmn op", BEFORE_BLANKS)] == ["ab cd", " efghijklmn", " op"]
    assert [*pieces("a. b, cd!", BEFORE_BLANKS)] == ["a. b, cd!"]
    assert [*pieces("a. b, cd!", BEFORE_BLANKS_AND_STOPS)] == ["a. b", ", cd!"]
    assert [*pieces("", BEFORE_BLANKS)] == [""]


def test_a_long_text_that_the_library_fails_on_is_a_failure(fixtures: Path) -> None:
    backend = load(fixtures / "models" / "tokenizers" / "qwen3")
    assert different(backend, ["a few words " * 20_000 + "\ud800"]) == []
