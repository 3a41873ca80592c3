"""What a checkpoint's files ask for beyond the usual, held to transformers and sentence-transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen3Config,
    Qwen3ForSequenceClassification,
)

from tests.support import tiny, tiny_causal, tiny_encoder
from tests.support.readings import readings_of
from transforms.base.errors import UserError
from transforms.scoring import Encoder, RankingTask, Reranker
from transforms.scoring.families.yes_no import Reader
from transforms.scoring.reranker import specify
from transforms.scoring.settings import YesNoSettings as Settings
from transforms.scoring.weights import checkpoints

LETTERS = "a b c d e f g h z y x w v u t s r q p o n m l k j i h g f e d"
TEXTS = ["c", "d e f", LETTERS, LETTERS + " " + LETTERS]
QWEN3 = "Qwen/Qwen3-Reranker-0.6B"


def theirs(folder: Path) -> list[float]:
    model = CrossEncoder(str(folder), device="cpu", local_files_only=True, activation_fn=torch.nn.Identity())
    return [float(model.predict([(query, text)])[0]) for query in TEXTS for text in TEXTS]


def ours(folder: Path) -> list[float]:
    reranker = Reranker.load(str(folder), device="cpu", dtype="float32")
    return [score for scores in reranker.score_lists([(query, TEXTS) for query in TEXTS]) for score in scores]


def embedded(folder: Path, texts: list[str]) -> tuple[Any, Any]:
    expected = SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode(texts)
    return Encoder.load(str(folder), device="cpu", dtype="float32").embed(texts, "document"), expected


@pytest.mark.parametrize("pooling", ["lasttoken", "mean"])
def test_an_encoder_attends_both_ways(tmp_path: Path, pooling: str) -> None:
    tiny_encoder.qwen3(tmp_path, pooling)
    texts = ["abc def", "a longer text than that", "x"]
    causal, _ = embedded(tmp_path, texts)
    tiny.change(tmp_path / "config.json", is_causal=False)
    result, expected = embedded(tmp_path, texts)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert np.abs(result - causal).max() > 0.1


def test_windows_on_both_sides_of_a_language_model_are_refused(tmp_path: Path) -> None:
    tiny_encoder.qwen3(tmp_path)
    windows = {"layer_types": ["sliding_attention"] * 2, "sliding_window": 4, "use_sliding_window": True}
    tiny.change(tmp_path / "config.json", is_causal=False, **windows)
    with pytest.raises(UserError, match=r"config.json says is_causal False, and sliding_attention in layer_types"):
        specify(str(tmp_path))


def prompts(folder: Path, tasks: list[RankingTask]) -> list[torch.Tensor]:
    """The token ids of each pair's prompt."""
    tokenizer = checkpoints.load_tokenizer(checkpoints.locate(str(folder)))
    readings = readings_of(Reader(Settings(max_length=1024), tokenizer), tasks, tokenizer)
    return [torch.from_numpy(reading.ids)[None].long() for reading in readings]


TASKS = [RankingTask("a query", ["a document", "another, longer one", ""]), RankingTask("b", ["c" * 900])]
OPTIONS: dict[str, Any] = {"like": QWEN3, "dtype": "float32", "max_length": 1024, "activation": "none"}


@pytest.mark.parametrize("is_causal", [False, True])
def test_a_yes_no_model_attends_as_its_files_say(tmp_path: Path, is_causal: bool) -> None:
    tiny_causal.qwen3(tmp_path)
    tiny.change(tmp_path / "config.json", is_causal=is_causal)
    reranker = Reranker.load(str(tmp_path), **OPTIONS)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    no, yes = (len(tiny_causal.CHARACTERS) + tiny_causal.ANSWERS.index(answer) for answer in ("no", "yes"))
    expected = [model(ids).logits[0, -1].detach() for ids in prompts(tmp_path, TASKS)]
    result = reranker.score_tasks(TASKS).score
    np.testing.assert_allclose(result, [float(logits[yes] - logits[no]) for logits in expected], atol=1e-4)


@pytest.mark.parametrize(
    ("config", "model"),
    [(Qwen2Config, Qwen2ForSequenceClassification), (Qwen3Config, Qwen3ForSequenceClassification)],
)
def test_a_trained_head_is_read_at_the_last_token(tmp_path: Path, config: Any, model: Any) -> None:
    tiny_causal.save(tmp_path, model(config(**tiny_causal.SIZES, num_labels=1)))
    head = AutoModelForSequenceClassification.from_pretrained(tmp_path, dtype=torch.float32)
    expected = [float(head(ids).logits.item()) for ids in prompts(tmp_path, TASKS)]
    result = Reranker.load(str(tmp_path), **OPTIONS).score_tasks(TASKS).score
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert np.ptp(expected) > 0.1


def rename(folder: Path) -> None:
    tiny.change(folder / "config.json", architectures=["Qwen3ForCausalLM"])


def drop(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({key: weights[key] for key in weights if key != "score.weight"}, folder / "model.safetensors")


def widen(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(weights | {"score.weight": torch.zeros(2, 16)}, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (rename, r"architectures \['Qwen3ForCausalLM'\], but the weights have score.weight; the files do not belong"),
        (drop, r"architectures \['Qwen3ForSequenceClassification'\], but the weights lack score.weight"),
        (widen, r"score.weight has shape \[2, 16\]; a reranker has one label, so \[1, 16\]"),
    ],
)
def test_a_trained_head_that_does_not_fit_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    sizes: dict[str, Any] = tiny_causal.SIZES | {"num_labels": 1}
    tiny_causal.save(tmp_path, Qwen3ForSequenceClassification(Qwen3Config(**sizes)))
    damage(tmp_path)
    with pytest.raises(UserError, match=message):
        specify(str(tmp_path), like=QWEN3)


def described(folder: Path, **fields: Any) -> None:
    """Make a cross-encoder's directory one that sentence-transformers has saved."""
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"}
    ]
    tiny.write(folder / "modules.json", modules)
    tiny.write(folder / "sentence_bert_config.json", {"transformer_task": "sequence-classification"})
    tiny.write(folder / "config_sentence_transformers.json", {"model_type": "CrossEncoder"} | fields)


@pytest.mark.parametrize("make", [tiny.bert, tiny.xlm_roberta])
def test_a_cross_encoders_default_prompt_stands_before_the_query(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    make(tmp_path)
    padding = "[PAD]" if make is tiny.bert else "<pad>"
    tiny.change(tmp_path / "tokenizer_config.json", pad_token=padding, model_max_length=32)
    plain = ours(tmp_path)
    described(tmp_path, prompts={"a": "x y z ", "b": "w "}, default_prompt_name="a")
    assert ours(tmp_path) == pytest.approx(theirs(tmp_path), abs=1e-5)
    assert max(abs(one - other) for one, other in zip(ours(tmp_path), plain, strict=True)) > 0.1
    tiny.change(tmp_path / "config_sentence_transformers.json", default_prompt_name=None)
    assert ours(tmp_path) == plain


def test_a_default_prompt_that_is_not_there(tmp_path: Path) -> None:
    described(tiny.bert(tmp_path), prompts={"a": "b "}, default_prompt_name="c")
    with pytest.raises(
        UserError, match=r"config_sentence_transformers.json has no prompt 'c', which its default_prompt"
    ):
        specify(str(tmp_path))


@pytest.mark.parametrize("make", [tiny.bert, tiny.xlm_roberta])
def test_pairs_lose_their_beginning(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    make(tmp_path)
    padding = "[PAD]" if make is tiny.bert else "<pad>"
    tiny.change(tmp_path / "tokenizer_config.json", pad_token=padding, model_max_length=32)
    usual = ours(tmp_path)
    tiny.change(tmp_path / "tokenizer_config.json", truncation_side="left")
    assert ours(tmp_path) == pytest.approx(theirs(tmp_path), abs=1e-5)
    assert max(abs(one - other) for one, other in zip(ours(tmp_path), usual, strict=True)) > 0.01


def test_windows_are_the_same_whatever_side_is_cut(tmp_path: Path) -> None:
    tiny.bert(tmp_path)

    def scores() -> Any:
        reranker = Reranker.load(str(tmp_path), device="cpu", dtype="float32", long_documents="window")
        return reranker.score_tasks([RankingTask("a b c", TEXTS)])

    right = scores()
    tiny.change(tmp_path / "tokenizer_config.json", truncation_side="left")
    left = scores()
    assert left.score.tolist() == right.score.tolist()
    assert left.truncated_tokens.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("make", [tiny_encoder.bert, tiny_encoder.xlm_roberta, tiny_encoder.qwen3])
def test_texts_lose_their_beginning(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    make(tmp_path)
    usual, _ = embedded(tmp_path, TEXTS)
    tiny.change(tmp_path / "tokenizer_config.json", truncation_side="left")
    result, expected = embedded(tmp_path, TEXTS)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert np.abs(result - usual).max() > 0.01


@pytest.mark.parametrize(
    ("file", "fields", "said"),
    [
        ("tokenizer_config.json", {"truncation_side": "left"}, "tokenizer_config.json says truncation_side 'left'"),
        (
            "tokenizer.json",
            {"truncation": {"direction": "Left", "max_length": 9, "strategy": "LongestFirst", "stride": 0}},
            "tokenizer.json says truncation.direction 'Left'",
        ),
    ],
)
def test_prompts_that_would_lose_their_beginning_are_refused(
    tmp_path: Path, file: str, fields: dict[str, Any], said: str
) -> None:
    tiny_causal.qwen3(tmp_path)
    tiny.change(tmp_path / file, **fields)
    with pytest.raises(UserError, match=rf"{said} \(long texts lose their beginning\), which is not supported"):
        specify(str(tmp_path), like=QWEN3)
