"""Unigram and WordPiece by parts against the tokenizers library, on real and on made tokenizers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from tests.scoring.tokenising.judge import different
from tests.support.odd_texts import odd_texts
from transforms.scoring.places import EMBEDDED
from transforms.scoring.tokenising import parts
from transforms.scoring.tokenising.tokeniser import Tokeniser, tokeniser_of
from transforms.scoring.tokenising.unigram import unigram
from transforms.scoring.tokenising.word_pieces import word_pieces

BY_PARTS = "each part once"
ADDED = ["<s>", "</s>", "<mask>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]


def load(folder: Path) -> Tokenizer:
    backend: Tokenizer = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return backend


@pytest.fixture(scope="module")
def xlm_r(fixtures: Path) -> Tokenizer:
    return load(fixtures / "models" / "tokenizers" / "xlm-r")


@pytest.fixture(scope="module")
def bert() -> Tokenizer:
    return load(EMBEDDED["small-cross-encoder"])


@pytest.fixture(params=[0, 1_000_000], ids=["many", "few"])
def words(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unigram's words are read many at once, or each by the library."""
    monkeypatch.setattr(parts, "_MANY", request.param)
    tokeniser_of.cache_clear()  # it remembers words


@pytest.mark.usefixtures("words")
@pytest.mark.parametrize("name", ["xlm_r", "bert"])
def test_odd_texts_have_the_same_ids(request: pytest.FixtureRequest, name: str) -> None:
    backend = request.getfixturevalue(name)
    assert Tokeniser(backend).name.endswith(BY_PARTS)
    assert different(backend, [*odd_texts(2_000, ADDED, seed=1)]) == []


@pytest.mark.usefixtures("words")
@pytest.mark.parametrize("name", ["xlm_r", "bert"])
def test_every_character_has_the_same_ids_wherever_it_stands(request: pytest.FixtureRequest, name: str) -> None:
    codes = [*range(0x3400), *range(0x3400, 0xD7A4, 97), *range(0xF900, 0x11000), *range(0x1F000, 0x1FC00)]
    texts = [f"a{one}b {one}{one} 1{one} .{one}\n{one} a{one}\u0301\u0327" for one in map(chr, codes)]
    assert different(request.getfixturevalue(name), texts) == []


@pytest.mark.parametrize(
    "texts",
    [
        [
            "",
            " ",
            "  ",
            "\n",
            "a",
            " a ",
            "a  b",
            "a\r\nb",
            "\u2581",
            "a \u2581b",
            "\u2581\u2581a",
            "x\u200by",
            "\u200b",
        ],
        [
            "\u2603\u2604",
            "a\U000f0000\U000f0001b \U000f0000 \U000f0000",
            "\u2603 \u2604\u2603x",
        ],  # unknown ones
        ["<unk\uff1e\uff1e", "\uff1cunk>\U000f0000", "a<unk>\U000f0000 <unk>"],
        ["<mask>", "a <mask> b", "x</s>y", "<s", "\uff1cs\uff1e", "[MASK]", "a [MASK]b"],
        ["a\x1cb", "a\x85b", "a\u3000b", "a\xa0b", " \u0301a", "a \u0301", "\u0600 a", "e\u0301 \u1100\u1161"],
        ["a" * 5_000, "-=" * 900, "1" * 101, "\u4e2d" * 300, " " * 3_000, "ab" * 3_000],
        ["\ud800", "b"],
    ],
)
@pytest.mark.usefixtures("words")
@pytest.mark.parametrize("name", ["xlm_r", "bert"])
def test_texts_that_have_caught_others_out(request: pytest.FixtureRequest, name: str, texts: list[str]) -> None:
    assert different(request.getfixturevalue(name), texts) == []


def made(seed: int) -> Tokenizer:
    """A Unigram of a few letters with many ties, since the scores are few; the letter e is in longer pieces alone."""
    draw = random.Random(seed)
    pieces = {"".join(draw.choices("abcde\u2581", k=draw.randrange(2, 5))) for _ in range(60)}
    vocabulary = [["<unk>", 0.0], ["\u2581", -2.0], *([letter, -3.0] for letter in "abcd")]
    vocabulary += [[piece, -draw.randrange(4, 24) / 4] for piece in sorted(pieces)]
    description: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "WhitespaceSplit"},
                {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
            ],
        },
        "model": {"type": "Unigram", "unk_id": 0, "vocab": vocabulary, "byte_fallback": False},
    }
    return Tokenizer.from_str(json.dumps(description))


@pytest.mark.usefixtures("words")
@pytest.mark.parametrize("seed", range(20))
def test_ties_and_unknown_letters_go_as_in_the_library(seed: int) -> None:
    backend, draw = made(seed), random.Random(seed)
    assert Tokeniser(backend).name.endswith(BY_PARTS)
    assert different(backend, ["".join(draw.choices("aabcdef ", k=draw.randrange(1, 40))) for _ in range(500)]) == []
    assert different(backend, ["a<unk>eeb", "e<unk>", "ee<unk><unk>e a"]) == []


def test_what_is_remembered_is_bounded(bert: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_REMEMBERED", 10)
    monkeypatch.setattr(parts, "_AT_ONCE", 30)
    engine = word_pieces(json.loads(bert.to_str()), bert)
    assert engine is not None
    engine.encode([f"word{number} {number}" for number in range(200)])
    engine.encode(["x" * 65])
    assert len(engine._words) < 20
    assert len(engine._parts) < 30
    assert "x" * 65 not in engine._words
    assert different(bert, [f"word{number} {number}" for number in range(200)]) == []


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d["model"]["vocab"].append(["zz", -3.1]),  # a score that rounds in sums
        lambda d: d["model"]["vocab"].append(["a", -2.0]),  # again
        lambda d: d["model"].update(byte_fallback=True),
        lambda d: d["pre_tokenizer"]["pretokenizers"][1].update(prepend_scheme="first"),
        lambda d: d["pre_tokenizer"]["pretokenizers"].pop(0),
        lambda d: d.update(normalizer={"type": "Lowercase"}),
    ],
)
def test_another_unigram_is_left_to_the_library(edit: Callable[[dict[str, Any]], None]) -> None:
    description = json.loads(made(0).to_str())
    edit(description)
    backend = Tokenizer.from_str(json.dumps(description))
    assert unigram(json.loads(backend.to_str()), backend) is None


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d["normalizer"].update(clean_text=False),
        lambda d: d.update(normalizer=None),
        lambda d: d.update(pre_tokenizer={"type": "Whitespace"}),
        lambda d: d["added_tokens"][0].update(lstrip=True),
        lambda d: d["added_tokens"][0].update(normalized=True),
    ],
)
def test_another_word_piece_is_left_to_the_library(bert: Tokenizer, edit: Callable[[dict[str, Any]], None]) -> None:
    description = json.loads(bert.to_str())
    edit(description)
    backend = Tokenizer.from_str(json.dumps(description))
    assert word_pieces(json.loads(backend.to_str()), backend) is None
