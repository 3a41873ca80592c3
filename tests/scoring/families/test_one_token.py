"""zerank and ctxl-rerank-v2: prompts that are read at one token's logit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import CrossEncoder
from transformers import AutoTokenizer

from tests.scoring.families.test_yes_no import read
from tests.support import tiny_causal
from tests.support.tiny_causal import text_of
from transforms.base.errors import UserError
from transforms.scoring import RankingTask, Reranker
from transforms.scoring.families.causal import EDGES
from transforms.scoring.families.yes_no import PROMPTS
from transforms.scoring.reranker import specify
from transforms.scoring.settings import YesNoSettings as Settings

ZERANK, CTXL = Settings(prompt="zerank"), Settings(prompt="ctxl")
HEAD = "Check whether a given document contains information helpful to answer the query.\n<Document> "


def test_prompt_of_zerank() -> None:
    [reading] = read(ZERANK, RankingTask(" who?\n", ["\tIt was I.  "]))
    assert text_of(reading.ids) == (
        "<|im_start|>system\nwho?<|im_end|>\n<|im_start|>user\nIt was I.<|im_end|>\n<|im_start|>assistant\n"
    )


def test_prompt_of_ctxl() -> None:
    plain, instructed = read(
        CTXL, RankingTask("who?", [" It was I.\n"]), RankingTask("who?", ["It was I."], "Prefer news.")
    )
    assert text_of(plain.ids) == f"{HEAD} It was I.\n\n<Query> who? ??"
    assert text_of(instructed.ids) == f"{HEAD}It was I.\n<Query> who? Prefer news. ??"


def test_long_documents_are_cut_and_the_place_that_is_read_stays() -> None:
    # Tokens are characters here: zerank's words have 80 of them, ctxl's 105 with the spaces and the line's end.
    long = RankingTask("q" * 10, ["d" * 500, "d" * 38])
    cut, whole = read(Settings(prompt="zerank", max_length=128), long)
    assert text_of(cut.ids) == (
        f"<|im_start|>system\n{'q' * 10}<|im_end|>\n<|im_start|>user\n{'d' * 38}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert (len(cut.ids), cut.truncated, cut.query_truncated) == (128, 462, 0)
    assert whole.ids.tolist() == cut.ids.tolist()
    cut, whole = read(Settings(prompt="ctxl", max_length=160), RankingTask("q" * 10, ["d" * 500, "d" * 46]))
    assert text_of(cut.ids) == f"{HEAD}{'d' * 46}\n<Query> {'q' * 10} ??"
    assert (len(cut.ids), cut.truncated, cut.query_truncated) == (160, 454, 0)
    assert whole.ids.tolist() == cut.ids.tolist()


def test_a_query_that_leaves_no_room_is_cut_and_the_place_that_is_read_stays() -> None:
    [reading] = read(Settings(prompt="zerank", max_length=128), RankingTask("q" * 500, ["d" * 10]))
    assert text_of(reading.ids) == (
        f"<|im_start|>system\n{'q' * 48}<|im_end|>\n<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n"
    )
    assert (reading.truncated, reading.query_truncated) == (10, 452)
    [reading] = read(Settings(prompt="ctxl", max_length=160), RankingTask("q" * 500, ["d" * 10]))
    assert text_of(reading.ids) == f"{HEAD[:-1]}<Query> {'q' * 58} ??"
    assert (reading.truncated, reading.query_truncated) == (12, 442)


def test_an_instruction_without_a_place_is_refused(tmp_path: Path) -> None:
    tiny_causal.qwen3(tmp_path)
    options = {"prompt": "ctxl", "instruction": "Prefer news.", "max_length": 1024}
    specify(str(tmp_path), like="zeroentropy/zerank-1", options=options)
    with pytest.raises(UserError, match=r"^--instruction: the prompt zerank has no place for one; leave it out$"):
        specify(str(tmp_path), like="zeroentropy/zerank-1", options=options | {"prompt": "zerank"})


def test_tokens_that_a_checkpoint_names_are_those_of_the_prompt(tmp_path: Path) -> None:
    """As sentence-transformers saves a CrossEncoder of a language model."""
    named = tmp_path / "named"
    CrossEncoder(str(tiny_causal.qwen3(tmp_path / "plain")), device="cpu").save_pretrained(str(named))
    assert (named / "1_LogitScore" / "config.json").is_file()
    options: dict[str, Any] = {"dtype": "float32", "max_length": 1024}
    alike = [
        Reranker.load(str(place), like="Qwen/Qwen3-Reranker-0.6B", **options).score("who?", ["It was I.", "x"])
        for place in (named, tmp_path / "plain")
    ]
    assert alike[0] == alike[1]
    with pytest.raises(UserError, match=r"LogitScore module reads the tokens \(101, 102\), the prompt zerank \(None, "):
        Reranker.load(str(named), like="zeroentropy/zerank-1", **options)
    Reranker.load(str(tmp_path / "plain"), like="zeroentropy/zerank-1", **options)


@pytest.fixture(scope="module")
def real(fixtures: Path) -> Any:
    return AutoTokenizer.from_pretrained(fixtures / "models" / "tokenizers" / "qwen3")


def test_the_tokens_that_are_read_are_the_vendors(real: Any) -> None:
    answers = [real.convert_tokens_to_ids(PROMPTS[prompt].answers[1]) for prompt in ("zerank", "ctxl")]
    assert answers == [9454, 0]


def test_tokens_of_zerank_are_those_of_the_chat_template(real: Any) -> None:
    for query in EDGES:
        for document in EDGES:
            turns = [{"role": "system", "content": query.strip()}, {"role": "user", "content": document.strip()}]
            text = real.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            [reading] = read(ZERANK, RankingTask(query, [document]), tokenizer=real)
            assert reading.ids.tolist() == real(text)["input_ids"], (query, document)


def test_tokens_of_ctxl_are_those_of_the_whole_prompt(real: Any) -> None:
    for query in EDGES:
        for document in EDGES:
            [reading] = read(CTXL, RankingTask(query, [document]), tokenizer=real)
            text = f"{HEAD}{document}\n<Query> {query} ??"
            assert reading.ids.tolist() == real(text)["input_ids"], (query, document)
