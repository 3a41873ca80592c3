from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.support import tiny, tiny_causal
from tests.support.readings import PromptReading, readings_of
from tests.support.tiny_causal import text_of
from tests.support.vendor import largest_difference, loader
from transforms.base.errors import UserError
from transforms.scoring import RankingTask, Reranker
from transforms.scoring.families import yes_no
from transforms.scoring.families.yes_no import Reader, cut
from transforms.scoring.reranker import specify
from transforms.scoring.settings import YesNoSettings as Settings
from transforms.scoring.weights import checkpoints


def read(settings: Settings, *tasks: RankingTask, tokenizer: Any = None) -> list[PromptReading]:
    tokenizer = tokenizer or tiny_causal.tokenizer()
    return readings_of(Reader(settings, tokenizer), tasks, tokenizer)


def test_prompt_of_qwen3() -> None:
    [reading] = read(Settings(prompt="qwen3"), RankingTask("who?", ["It was I."]))
    assert text_of(reading.ids) == (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
        "<Instruct>: Given a web search query, retrieve relevant passages that answer the query\n"
        "<Query>: who?\n<Document>: It was I.<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )


def test_prompt_of_qwen3s_evaluation() -> None:
    [reading] = read(Settings(prompt="qwen3-evaluation"), RankingTask("who?", ["It was I."]))
    assert text_of(reading.ids) == (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
        "<Instruct>: Given the user query, retrieval the relevant passages\n\n"
        "<Query>: who?\n\n<Document>: It was I.<|im_end|>\n<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )


def test_prompt_of_mxbai() -> None:
    plain, instructed = read(
        Settings(prompt="mxbai"), RankingTask("who?", ["It was I."]), RankingTask("who?", ["It was I."], "Be brief.")
    )
    opening = (
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n"
    )
    rest = (
        "query: who?\ndocument: It was I.\nYou are a search relevance expert who evaluates how well documents match "
        "search queries. For each query-document pair, carefully analyze the semantic relationship between them, then "
        "provide your binary relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert text_of(plain.ids) == opening + rest
    assert text_of(instructed.ids) == opening + "instruction: Be brief.\n" + rest


@pytest.mark.parametrize(
    ("of_all", "of_query", "read_as"),
    [
        (None, None, "Given a web search query, retrieve relevant passages that answer the query"),
        ("all", None, "all"),
        ("all", "own", "own"),
        ("all", "", ""),
    ],
)
def test_the_querys_own_instruction_wins(of_all: str | None, of_query: str | None, read_as: str) -> None:
    [reading] = read(Settings(instruction=of_all), RankingTask("q", ["d"], of_query))
    assert f"<Instruct>: {read_as}\n<Query>" in text_of(reading.ids)


def test_braces_in_texts_are_text() -> None:
    [reading] = read(Settings(), RankingTask("{document}", ["{query} {}"], "{0}"))
    assert "<Instruct>: {0}\n<Query>: {document}\n<Document>: {query} {}<|im_end|>" in text_of(reading.ids)


@pytest.mark.parametrize(
    ("lengths", "room", "longest_query", "cuts"),
    [
        ((10, 20, 2), 40, 40, (10, 20, 2)),
        ((10, 20, 2), 31, 40, (10, 20, 1)),
        ((10, 20, 2), 30, 40, (10, 20, 0)),
        ((10, 20, 2), 25, 40, (10, 15, 0)),
        ((50, 20, 2), 40, 30, (30, 10, 0)),
        ((50, 20, 2), 40, 60, (40, 0, 0)),
        ((0, 0, 0), 5, 5, (0, 0, 0)),
    ],
)
def test_cuts(lengths: tuple[int, int, int], room: int, longest_query: int, cuts: tuple[int, int, int]) -> None:
    query, document, closing = lengths
    result = cut(np.array([query]), np.array([document]), closing, room, longest_query)
    assert [column.tolist() for column in result] == [[tokens] for tokens in cuts]


def test_ledger_of_a_cut_pair() -> None:
    # mxbai counts "query: " (7), "\ndocument: " (11) and the texts: a query of at most 96, together at most 128.
    [whole] = read(Settings(prompt="mxbai", max_length=128), RankingTask("", [""]))
    [reading] = read(Settings(prompt="mxbai", max_length=128), RankingTask("q" * 100, ["d" * 50]))
    assert len(reading.ids) - len(whole.ids) == 128 - 18
    assert (reading.query_truncated, reading.truncated) == (7 + 100 - 96, 11 + 50 - 32)


@pytest.mark.parametrize(
    ("make", "fields", "prompt"),
    [
        (tiny_causal.qwen3, {}, "qwen3"),
        (tiny_causal.qwen3, {"tie_word_embeddings": False}, "qwen3-evaluation"),
        (tiny_causal.qwen2, {}, "mxbai"),
    ],
)
def test_scores_are_those_of_the_whole_model(
    tmp_path: Path, make: Callable[..., Path], fields: dict[str, Any], prompt: str
) -> None:
    make(tmp_path, **fields)
    settings: dict[str, Any] = {"prompt": prompt, "max_length": 1024, "activation": "none"}
    reranker = Reranker.load(str(tmp_path), like="Qwen/Qwen3-Reranker-0.6B", dtype="float32", **settings)
    tasks = [RankingTask("a query", ["a document", "another, longer one", ""]), RankingTask("b", ["c" * 900])]
    scores = reranker.score_tasks(tasks)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    tokenizer = checkpoints.load_tokenizer(checkpoints.locate(str(tmp_path)))
    no, yes = (tokenizer.convert_tokens_to_ids(str(answer)) for answer in yes_no.PROMPTS[prompt].answers)
    readings = read(Settings(prompt=prompt, max_length=1024), *tasks, tokenizer=tokenizer)
    for reading, score in zip(readings, scores.score, strict=True):
        logits = model(torch.from_numpy(reading.ids)[None].long()).logits[0, -1].detach()
        assert score == pytest.approx(float(logits[yes] - logits[no]), abs=1e-4)
    assert scores.tokens is not None
    assert scores.tokens.tolist() == [len(reading.ids) for reading in readings]


def test_sigmoid_is_centred(tmp_path: Path) -> None:
    tiny_causal.qwen3(tmp_path)
    like: dict[str, Any] = {"like": "mixedbread-ai/mxbai-rerank-base-v2", "dtype": "float32"}
    [raw] = Reranker.load(str(tmp_path), **like).score("a", ["b"])
    [normalised] = Reranker.load(str(tmp_path), activation="sigmoid", **like).score("a", ["b"])
    assert normalised == pytest.approx(1 / (1 + math.exp(4.5 - raw)), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"prompt": "qwen4"},
            "--prompt qwen4: the prompts of this family are qwen3, qwen3-evaluation, mxbai, zerank, ctxl",
        ),
        ({"max_length": 127}, "--max_length 127: .* takes 128 to 16384 tokens"),
        ({"max_length": 16385}, "--max_length 16385: .* takes 128 to 16384 tokens"),
        ({"long_documents": "window"}, "--long_documents: does not apply to Qwen/Qwen3-Reranker-0.6B, a yes-no"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    tiny_causal.qwen3(tmp_path)
    with pytest.raises(UserError, match=message):
        specify(str(tmp_path), like="Qwen/Qwen3-Reranker-0.6B", options=options)


def test_output_matrix_that_is_missing(tmp_path: Path) -> None:
    tiny_causal.qwen3(tmp_path)
    tiny.change(tmp_path / "config.json", tie_word_embeddings=False)
    with pytest.raises(UserError, match=r"the weights lack lm_head\.weight; give a causal language model, whole"):
        specify(str(tmp_path), like="Qwen/Qwen3-Reranker-0.6B", options={"max_length": 256})


def test_answer_of_several_tokens(tmp_path: Path) -> None:
    tiny_causal.qwen3(tmp_path)
    tiny.change(tmp_path / "tokenizer.json", added_tokens=[])
    with pytest.raises(UserError, match="its tokenizer has no single token for 'no'"):
        Reranker.load(str(tmp_path), like="Qwen/Qwen3-Reranker-0.6B", max_length=256)


NAMES = {
    "qwen3-reranker": "Qwen/Qwen3-Reranker-0.6B",
    "mxbai-rerank-base-v2": "mixedbread-ai/mxbai-rerank-base-v2",
    "mxbai-rerank-large-v2": "mixedbread-ai/mxbai-rerank-large-v2",
}
VARIANTS = {"readme": "qwen3", "evaluation": "qwen3-evaluation"}


def options_of(case: dict[str, Any]) -> dict[str, Any]:
    """A case's options under this project's names."""
    of_case = case["options"]
    options = {name: of_case[name] for name in ("max_length", "instruction") if name in of_case}
    if "variant" in of_case:
        options["prompt"] = VARIANTS[of_case["variant"]]
    return options | ({"activation": "sigmoid"} if of_case.get("normalize") else {})


@pytest.mark.parametrize(
    ("family", "tolerance", "scores"),
    [("qwen3-reranker", 2e-5, 374), ("mxbai-rerank-base-v2", 1e-4, 200), ("mxbai-rerank-large-v2", 1e-4, 200)],
)
def test_vendors_scores(
    family: str,
    tolerance: float,
    scores: int,
    monkeypatch: pytest.MonkeyPatch,
    golden: Callable[[str], Path],
    golden_cases: Callable[[str], list[dict[str, Any]]],
) -> None:
    load = loader(golden(family), NAMES[family], monkeypatch)
    cases = {case["name"]: case for case in golden_cases(family) if case["scores"]}
    if family == "mxbai-rerank-large-v2":
        # Beside 8,000 tokens of padding the vendor's code strays by 1.4e-4 from what it gives for the same pair alone.
        cases["long-9000"]["scores"][1] = cases["special-tokens-doc"]["scores"][0]
        assert cases["long-9000"]["documents"][1] == cases["special-tokens-doc"]["documents"][0]
    compared = 0
    for name, case in cases.items():
        difference, number = largest_difference(load(options_of(case)), case)
        assert difference <= tolerance, name
        compared += number
    assert compared == scores


@pytest.mark.parametrize("family", NAMES)
def test_vendors_token_ids(
    family: str, golden: Callable[[str], Path], golden_cases: Callable[[str], list[dict[str, Any]]]
) -> None:
    tokenizer = checkpoints.load_tokenizer(checkpoints.locate(str(golden(family))))
    cases = [case for case in golden_cases(family) if "input_ids" in case]
    assert cases
    for case in cases:
        settings = Settings(**({"prompt": "mxbai"} | options_of(case)))
        task = RankingTask(case["query"], case["documents"])
        readings = readings_of(Reader(settings, tokenizer), [task], tokenizer)
        rows = case["input_ids"] if isinstance(case["input_ids"][0], list) else [case["input_ids"]]
        masks = case.get("attention_mask") or [[1] * len(row) for row in rows]
        expected = [
            [i for i, is_read in zip(row, mask, strict=True) if is_read] for row, mask in zip(rows, masks, strict=True)
        ]
        assert [reading.ids.tolist() for reading in readings] == expected
