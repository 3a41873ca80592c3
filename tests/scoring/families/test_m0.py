from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import Qwen2VLTextConfig, Qwen2VLTextModel

from tests.support import tiny, tiny_causal
from tests.support.readings import PromptReading, readings_of
from tests.support.tiny_causal import text_of
from tests.support.vendor import largest_difference, loader
from transforms.base.errors import UserError
from transforms.scoring import RankingTask, Reranker
from transforms.scoring.families.m0 import Reader
from transforms.scoring.reranker import specify
from transforms.scoring.settings import M0Settings as Settings
from transforms.scoring.weights import checkpoints


def read(settings: Settings, *tasks: RankingTask) -> list[PromptReading]:
    tokenizer = tiny_causal.tokenizer()
    return readings_of(Reader(settings, tokenizer), tasks, tokenizer)


def test_prompt_ends_with_the_query_and_the_score_token() -> None:
    [reading] = read(Settings(), RankingTask("who?", ["It was I."]))
    assert text_of(reading.ids[:-1]) == "**Document**:\nIt was I.\n**Query**:\nwho?"
    assert reading.ids[-1] == 100
    assert (reading.truncated, reading.query_truncated) == (0, 0)


@pytest.mark.parametrize(
    ("document", "seen", "truncated"), [("a" * 9, "a" * 9, 0), ("a" * 10, "a" * 10, 0), ("a" * 10 + "b", "a" * 10, 1)]
)
def test_document_is_cut_to_its_limit(document: str, seen: str, truncated: int) -> None:
    [reading] = read(Settings(max_length=64, max_query_length=8, max_doc_length=10), RankingTask("q", [document]))
    assert text_of(reading.ids[:-1]) == f"**Document**:\n{seen}\n**Query**:\nq"
    assert (reading.truncated, reading.query_truncated) == (truncated, 0)


def test_prompt_that_is_too_long_loses_the_end_of_the_query() -> None:
    [reading] = read(Settings(max_length=35, max_query_length=8), RankingTask("who is it?", ["a"]))
    assert text_of(reading.ids[:-1]) == "**Document**:\na\n**Query**:\nwho is "
    assert (len(reading.ids), reading.truncated, reading.query_truncated) == (35, 0, 3)


HEAD = {"score.0.weight": (16, 16), "score.0.bias": (16,), "score.2.weight": (1, 16), "score.2.bias": (1,)}


def m0(folder: Path) -> tuple[Qwen2VLTextModel, dict[str, torch.Tensor]]:
    """Writes a checkpoint in the layout of m0's, some of its weights unused; returns the model and the head."""
    sizes = tiny_causal.SIZES | {"rope_parameters": {"rope_type": "default", "mrope_section": [1, 1]}}
    model = tiny_causal.randomise(Qwen2VLTextModel(Qwen2VLTextConfig(**sizes)))
    head = {name: torch.randn(shape) for name, shape in HEAD.items()}
    unused = {"visual.patch_embed.proj.weight": torch.randn(2, 2), "lm_head.weight": torch.randn(2, 2)}
    weights = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    save_file(weights | head | unused, folder / "model.safetensors", metadata={"format": "pt"})
    named = {"model_type": "qwen2_vl", "architectures": ["JinaVLForRanking"], "vision_config": {"depth": 1}}
    rope = {"rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": [1, 1]}}
    tiny.write(folder / "config.json", tiny_causal.SIZES | named | rope)
    tiny_causal.tokenizer().save_pretrained(folder)
    return model, head


def test_scores_are_those_of_the_whole_model(tmp_path: Path) -> None:
    model, head = m0(tmp_path)
    reranker = Reranker.load(str(tmp_path), dtype="float32", max_length=256, max_query_length=64)
    assert reranker.specification.model.name == "jinaai/jina-reranker-m0"
    tasks = [RankingTask("a query", ["a document", "another, longer one", ""]), RankingTask("b", ["c" * 250])]
    scores = reranker.score_tasks(tasks)
    tokenizer = checkpoints.load_tokenizer(reranker.specification.checkpoint)
    readings = readings_of(Reader(Settings(max_length=256, max_query_length=64), tokenizer), tasks, tokenizer)
    for reading, score in zip(readings, scores.score, strict=True):
        last = model(torch.from_numpy(reading.ids)[None].long()).last_hidden_state[0, -1].detach()
        middle = torch.relu(head["score.0.weight"] @ last + head["score.0.bias"])
        logit = head["score.2.weight"] @ middle + head["score.2.bias"]
        assert score == pytest.approx(float(torch.sigmoid(logit - 2.65)), abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 15}, "--max_length 15: .* takes 16 to 16384 tokens"),
        ({"max_length": 128, "max_query_length": 64, "max_doc_length": 65}, "--max_doc_length 65 and --max_query_leng"),
        ({"max_length": 128}, "--max_doc_length -384 and --max_query_length 512: give positive lengths"),
        ({"prompt": "qwen3"}, "--prompt: does not apply to jinaai/jina-reranker-m0"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    m0(tmp_path)
    with pytest.raises(UserError, match=message):
        specify(str(tmp_path), options=options)


def test_head_that_is_missing(tmp_path: Path) -> None:
    tiny_causal.qwen2(tmp_path)
    tiny.change(
        tmp_path / "config.json", model_type="qwen2_vl", rope_scaling={"type": "mrope", "mrope_section": [1, 1]}
    )
    with pytest.raises(UserError, match=r"the weights lack score.0.weight of shape \[16, 16\]"):
        specify(str(tmp_path), like="jinaai/jina-reranker-m0")


@pytest.mark.parametrize("sections", [None, 2, "1, 1", [], [1], [2, 1], [1.0, 1.0], [True, 1], [3, -1], [[1, 1]]])
def test_sections_of_rotary_angles_that_are_not_a_heads(tmp_path: Path, sections: Any) -> None:
    m0(tmp_path)
    tiny.change(tmp_path / "config.json", rope_scaling={"type": "mrope", "mrope_section": sections})
    message = rf"config.json says mrope_section {re.escape(repr(sections))}; whole numbers are needed that make 2 tog"
    with pytest.raises(UserError, match=message):
        specify(str(tmp_path))


def test_vendors_scores(
    monkeypatch: pytest.MonkeyPatch, golden: Callable[[str], Path], golden_cases: Callable[[str], list[dict[str, Any]]]
) -> None:
    load = loader(golden("jina-reranker-m0"), "jinaai/jina-reranker-m0", monkeypatch)
    compared = 0
    for case in golden_cases("jina-reranker-m0"):
        options = {name: value for name, value in case["options"].items() if name.endswith("_length")}
        if case["scores"]:
            difference, number = largest_difference(load(options), case)
            assert difference <= 2e-5, case["name"]
            compared += number
        elif case["error_type"] == "AssertionError":
            with pytest.raises(UserError, match="holds together"):
                load(options)
    assert compared == 167
