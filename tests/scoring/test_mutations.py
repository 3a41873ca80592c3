"""Every key of a checkpoint's files, one at a time with another value: scores are the reference's, or it is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import Qwen3Config, Qwen3ForSequenceClassification

from tests.scoring.families.test_m0 import m0
from tests.support import references, tiny, tiny_causal, tiny_encoder, tiny_listwise, tiny_modular
from tests.support.mutations import changed, mutants
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


def trained_head(folder: Path) -> None:
    sizes: dict[str, Any] = tiny_causal.SIZES | {"num_labels": 1, "head_dim": 8}
    tiny_causal.save(folder, Qwen3ForSequenceClassification(Qwen3Config(**sizes)))


class Case(NamedTuple):
    make: Callable[[Path], object]
    reference: Callable[[Path], Scores]
    options: dict[str, Any] = {}  # noqa: RUF012


RAW: dict[str, Any] = {"max_length": 1024, "activation": "none"}
QWEN3 = RAW | {"like": "Qwen/Qwen3-Reranker-0.6B"}
CASES = {
    "BERT cross-encoder": Case(sized(tiny.bert, "[PAD]"), references.cross_encoder),
    "XLM-R cross-encoder": Case(sized(tiny.xlm_roberta, "<pad>"), references.cross_encoder),
    "ModernBERT cross-encoder": Case(sized(tiny.modern_bert, "[PAD]"), references.cross_encoder),
    "BERT cross-encoder with modules.json": Case(
        saved(sized(tiny.bert, "[PAD]"), CrossEncoder), references.cross_encoder
    ),
    "cross-encoder of modules": Case(tiny_modular.modular_cross_encoder, references.cross_encoder),
    "BERT encoder": Case(saved(tiny_encoder.bert, SentenceTransformer), references.encoder),
    "XLM-R encoder, older files": Case(tiny_encoder.xlm_roberta, references.encoder),
    "Qwen3 encoder": Case(tiny_encoder.qwen3, references.encoder),
    "listwise": Case(
        lambda folder: tiny_listwise.checkpoint(folder), references.listwise, {"like": "jinaai/jina-reranker-v3"}
    ),
    "yes/no, Qwen3": Case(tiny_causal.qwen3, references.yes_no, QWEN3),
    "yes/no, Qwen2": Case(tiny_causal.qwen2, references.mxbai, RAW | {"like": "mixedbread-ai/mxbai-rerank-base-v2"}),
    "Qwen3 with a trained head": Case(trained_head, references.trained_head, QWEN3),
    "m0": Case(m0, references.m0, {"like": "jinaai/jina-reranker-m0"}),
}


def ours(folder: Path, options: dict[str, Any]) -> Scores:
    return Reranker.load(str(folder), device="cpu", dtype="float32", **options).score_tasks(TASKS).score


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_key_with_another_value_is_followed_or_refused(tmp_path: Path, case: Case) -> None:
    folder = tmp_path / "model"
    if case.reference is not references.listwise:
        folder.mkdir()
    made = case.make(folder)
    folder = made if isinstance(made, Path) else folder
    unchanged = case.reference(folder)
    np.testing.assert_allclose(ours(folder, case.options), unchanged, atol=1e-5)
    counts: Counter[str] = Counter()
    keys = set()
    wrong = []
    for mutant in mutants(folder):
        keys.add(mutant.key)
        with changed(folder, mutant):
            try:
                scores = ours(folder, case.options)
            except UserError:
                counts["refused"] += 1
                continue
            except BaseException as error:
                wrong.append(f"{mutant}: {error!r}")
                continue
            try:
                expected = case.reference(folder)
            except Exception:
                counts["refused by the reference alone"] += 1
                continue
        if expected.shape != scores.shape or not np.allclose(scores, expected, atol=1e-5):
            wrong.append(f"{mutant}: {abs(scores - expected).max():.1e}")
        counts[
            "without effect"
            if np.array_equal(expected.shape, unchanged.shape) and np.allclose(expected, unchanged, atol=1e-5)
            else "followed"
        ] += 1
    print(len(keys), dict(counts))
    assert not wrong, "\n".join(wrong)
