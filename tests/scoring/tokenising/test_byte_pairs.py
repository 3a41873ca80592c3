"""tiktoken against the tokenizers library, on the vendors' own tokenizers where they are at hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, normalizers

from tests.scoring.tokenising.judge import different
from tests.support import tiny_listwise
from tests.support.odd_texts import odd_texts
from transforms.scoring.tokenising import byte_pairs as module
from transforms.scoring.tokenising.library import Library
from transforms.scoring.tokenising.tokeniser import Tokeniser

QWEN = ("qwen2-vl", "qwen2.5", "qwen3", "qwen3-jina-v3")


def described(backend: Tokenizer) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(backend.to_str())
    return described


@pytest.fixture(scope="module")
def qwen(fixtures: Path) -> Tokenizer:
    return Tokenizer.from_file(str(fixtures / "models" / "tokenizers" / "qwen3" / "tokenizer.json"))


@pytest.mark.parametrize("name", QWEN)
def test_qwens_tokenizers_are_done_by_tiktoken_with_the_same_ids(fixtures: Path, name: str) -> None:
    backend = Tokenizer.from_file(str(fixtures / "models" / "tokenizers" / name / "tokenizer.json"))
    added = [token["content"] for token in described(backend)["added_tokens"]]
    assert Tokeniser(backend).name.startswith("tiktoken 0.")
    assert different(backend, [*odd_texts(500, added, seed=len(name))]) == []


def test_every_character_has_the_same_ids_wherever_it_stands(qwen: Tokenizer) -> None:
    alike = [*range(0x3400, 0xA000, 97), *range(0xAC00, 0xD7A4, 97), *range(0x17000, 0x18D00, 97)]  # ideographs, Hangul
    codes = [*range(0x3400), *alike, *range(0xA000, 0xAC00), *range(0xF900, 0x17000), *range(0x18D00, 0x1FC00)]
    characters = list(map(chr, codes))
    texts = [f"a{one}b1{one}1 {one}{one} '{one}x {one}\n{one}\u0301\u0327 \n{one} \n" for one in characters]
    assert different(qwen, texts) == []


def test_a_mark_that_the_librarys_unicode_does_not_know_stays_where_it_stands(qwen: Tokenizer) -> None:
    """unicodedata puts U+1ABF after U+0327; the library's tables are older."""
    assert different(qwen, ["a\u0301\u0327", "a\u1abf\u0327", "\u0898\u0301", "e\u0301", "\u212a"]) == []


def test_an_added_token_beside_what_normalising_changes_is_found_all_the_same(qwen: Tokenizer) -> None:
    texts = ["<|im_end|>\u0338", "e\u0301<|im_end|>e\u0301", "<thin\u212a>", "<think>", "<|im_end|><|im_end|> <|im_en"]
    assert different(qwen, texts) == []


@pytest.mark.parametrize("unit", ["a", " ", "\n", " \n", "=", "é", "中", "1", "<think>"])
@pytest.mark.parametrize("number", [2, 999, 60_000])
def test_long_runs_have_the_same_ids(qwen: Tokenizer, unit: str, number: int) -> None:
    assert different(qwen, [unit * number, f"x{unit * number}x"]) == []


BLANKS = " \t\n\r\x0b\x0c\x1c\xa0\u2003\u2028\u3000"


@pytest.mark.parametrize("after", ["", "a", "1", "é", ".", "'s", "<|im_end|>"])
def test_blanks_of_every_kind_have_the_same_ids_beside_each_other(qwen: Tokenizer, after: str) -> None:
    runs = ["".join(run) for number in (1, 2, 3) for run in product(BLANKS, repeat=number)]
    assert different(qwen, [f"{before}{run}{after}" for run in runs for before in ("x", "!")]) == []


def test_of_several_blanks_the_last_belongs_to_what_follows(qwen: Tokenizer) -> None:
    [ids] = Tokeniser(qwen).encode(["if   x:\n    1   \n  "])
    assert [qwen.decode([int(number)]) for number in ids] == ["if", "  ", " x", ":\n", "   ", " ", "1", "   \n", "  "]


def test_several_blanks_beside_an_added_token_are_for_the_library(qwen: Tokenizer) -> None:
    engine = module.byte_pairs(described(qwen), qwen)
    assert engine is not None
    ids = engine.encode(["a <|im_end|>\n\nb", "a  b", "a  <|im_end|>", "a  b<|im_end|>"])
    assert [ids is None for ids in ids] == [False, False, True, True]


def test_a_text_that_is_too_long_or_has_a_lone_surrogate_is_for_the_library(qwen: Tokenizer) -> None:
    engine = module.byte_pairs(described(qwen), qwen)
    assert engine is not None
    ids = engine.encode(["a", "b" * 100_001, "\ud800", "a\u0378"])
    assert [ids is None for ids in ids] == [False, True, True, True]
    [failure] = Tokeniser(qwen).encode(["\ud800"])
    assert failure == Library(qwen).encode(["\ud800"])[0]
    assert failure[0] == "tokenizer_error"


def test_several_threads_give_the_ids_in_order(qwen: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYON_NUM_THREADS", "3")
    assert different(qwen, [f"text number {number}" for number in range(1_000)]) == []


def edited(edit: Callable[[dict[str, Any]], None]) -> Tokenizer:
    description = described(tiny_listwise.tokenizer())
    edit(description)
    return Tokenizer.from_str(json.dumps(description))


def test_a_tokenizer_of_the_kind_is_known_by_its_parts() -> None:
    backend = tiny_listwise.tokenizer()
    assert module.byte_pairs(described(backend), backend) is not None
    assert different(backend, [*odd_texts(500, ["<|im_start|>", "<|embed_token|>"])]) == []


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d.update(normalizer=None),
        lambda d: d.update(normalizer={"type": "NFKC"}),
        lambda d: d.update(pre_tokenizer=None),
        lambda d: d["pre_tokenizer"]["pretokenizers"].pop(0),
        lambda d: d["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Regex": r"\s+|\S+"}),
        lambda d: d["pre_tokenizer"]["pretokenizers"][0].update(behavior="Removed"),
        lambda d: d["pre_tokenizer"]["pretokenizers"][1].update(add_prefix_space=True),
        lambda d: d["model"].update(ignore_merges=True),
        lambda d: d["model"].update(dropout=0.5),
        lambda d: d["model"]["merges"].pop(),
        lambda d: d["model"]["merges"].reverse(),
        lambda d: d["added_tokens"][0].update(lstrip=True),
        lambda d: d["added_tokens"][0].update(normalized=True),
        lambda d: d["added_tokens"][1].update(content=d["added_tokens"][0]["content"] + "x"),
    ],
)
def test_a_tokenizer_of_another_kind_is_left_to_the_library(edit: Callable[[dict[str, Any]], None]) -> None:
    backend = edited(edit)
    assert module.byte_pairs(described(backend), backend) is None
    assert Tokeniser(backend).name.startswith("tokenizers 0.")


def test_without_tiktoken_the_library_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIKTOKEN", None)
    assert Tokeniser(tiny_listwise.tokenizer()).name.startswith("tokenizers 0.")


def test_nothing_else_is_taken_for_byte_pairs() -> None:
    backend = Tokenizer.from_str(tiny_listwise.tokenizer().to_str())
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    assert module.byte_pairs(described(backend), backend) is None
