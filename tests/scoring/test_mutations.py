"""Every key of a checkpoint's files, one at a time with another value: scores are the reference's, or it is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import Qwen3Config, Qwen3ForSequenceClassification

from tests.scoring.families.test_m0 import m0
from tests.support import references, tiny, tiny_causal, tiny_encoder, tiny_listwise, tiny_modular
from tests.support.loaded_once import loaded_once
from tests.support.mutations import Mutant, changed, mutants
from tests.support.references import DOCUMENTS, QUERIES, Scores
from transforms.base.errors import UserError
from transforms.scoring import RankingTask, Reranker

TASKS = [RankingTask(query, DOCUMENTS) for query in QUERIES]


def sized(make: Callable[[Path], object], padding: str) -> Callable[[Path], object]:
    """With what sentence-transformers needs to pad and to cut."""

    def made(folder: Path) -> None:
        make(folder)
        tiny.change(folder / "tokenizer_config.json", pad_token=padding, model_max_length=32)

    return made


def saved(make: Callable[[Path], object], library: Any) -> Callable[[Path], object]:
    """As sentence-transformers 6 writes it."""

    def made(folder: Path) -> None:
        before = folder.parent / "before"
        before.mkdir()
        make(before)
        library(str(before), device="cpu", local_files_only=True).save_pretrained(str(folder))

    return made


def inner(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """In a folder of its own, where it makes one."""
    return lambda folder: make(folder / "inner")


def trained_head(folder: Path) -> None:
    sizes: dict[str, Any] = tiny_causal.SIZES | {"num_labels": 1, "head_dim": 8}
    tiny_causal.save(folder, Qwen3ForSequenceClassification(Qwen3Config(**sizes)))


class Case(NamedTuple):
    """One directory.

    Attributes:
        make: writes it into a folder, or into one below that it returns.
        reference: its scores.
        options: ours for it.
        shared: files whose keys another case tries, with the same classes of the libraries and the same family of ours.
    """

    make: Callable[[Path], object]
    reference: Callable[[Path], Scores]
    options: dict[str, Any] = {}  # noqa: RUF012
    shared: tuple[str, ...] = ()


RAW: dict[str, Any] = {"max_length": 1024, "activation": "none"}
QWEN3 = RAW | {"like": "Qwen/Qwen3-Reranker-0.6B"}
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
CASES = {
    "BERT cross-encoder": Case(sized(tiny.bert, "[PAD]"), references.cross_encoder),
    "XLM-R cross-encoder": Case(sized(tiny.xlm_roberta, "<pad>"), references.cross_encoder),
    "ModernBERT cross-encoder": Case(
        sized(partial(tiny.modern_bert, num_hidden_layers=3), "[PAD]"), references.cross_encoder, shared=TOKENIZER
    ),
    "BERT cross-encoder with modules.json": Case(
        saved(sized(tiny.bert, "[PAD]"), CrossEncoder), references.cross_encoder, shared=("config.json", *TOKENIZER)
    ),
    "cross-encoder of modules": Case(
        partial(tiny_modular.modular_cross_encoder, num_hidden_layers=3), references.cross_encoder, shared=TOKENIZER
    ),
    "BERT encoder": Case(saved(partial(tiny_encoder.bert, layers=1), SentenceTransformer), references.encoder),
    "XLM-R encoder, older files": Case(
        partial(tiny_encoder.xlm_roberta, layers=1), references.encoder, shared=TOKENIZER
    ),
    "Qwen3 encoder": Case(tiny_encoder.qwen3, references.encoder, shared=TOKENIZER),
    "listwise": Case(inner(tiny_listwise.checkpoint), references.listwise, {"like": "jinaai/jina-reranker-v3"}),
    "listwise with windows": Case(
        inner(partial(tiny_listwise.windowed, window=100)), references.windowed_listwise, shared=TOKENIZER
    ),
    "yes/no, Qwen3": Case(tiny_causal.qwen3, references.yes_no, QWEN3),
    "yes/no, Qwen2": Case(
        tiny_causal.qwen2, references.mxbai, RAW | {"like": "mixedbread-ai/mxbai-rerank-base-v2"}, shared=TOKENIZER
    ),
    "Qwen3 with a trained head": Case(trained_head, references.trained_head, QWEN3, shared=TOKENIZER),
    "m0": Case(m0, references.m0, {"like": "jinaai/jina-reranker-m0"}),
}


def ours(folder: Path, options: dict[str, Any]) -> Scores:
    return Reranker.load(str(folder), device="cpu", dtype="float32", **options).score_tasks(TASKS).score


OUTCOMES = ("followed", "refused", "without effect", "refused by the reference alone")


def outcome(folder: Path, case: Case, mutant: Mutant, unchanged: Scores) -> str:
    """One of OUTCOMES, or what is wrong."""
    with changed(folder, mutant):
        try:
            scores = ours(folder, case.options)
        except UserError:
            return "refused"
        except BaseException as error:
            return repr(error)
        try:
            expected = case.reference(folder)
        except Exception:
            return "refused by the reference alone"
    if expected.shape != scores.shape or not np.allclose(scores, expected, atol=1e-5):
        return f"{abs(scores - expected).max():.1e}"
    return "without effect" if np.allclose(expected, unchanged, atol=1e-5) else "followed"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_key_with_another_value_is_followed_or_refused(tmp_path: Path, case: Case) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    made = case.make(folder)
    folder = made if isinstance(made, Path) else folder
    with loaded_once():
        unchanged = case.reference(folder)
        assert np.ptp(unchanged) > 1e-3
        np.testing.assert_allclose(ours(folder, case.options), unchanged, atol=1e-5)
        tried = [(mutant, outcome(folder, case, mutant, unchanged)) for mutant in mutants(folder, case.shared)]
    print(len({mutant.key for mutant, _ in tried}), dict(Counter(result for _, result in tried)))
    assert not [(mutant, result) for mutant, result in tried if result not in OUTCOMES]
