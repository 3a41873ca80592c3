"""Whole jobs with the newer families against their reference libraries, live, one text at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification

from tests.support import tiny, tiny_listwise, tiny_modular
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import rerank, scores
from transforms.scoring.weights import checkpoints

QUERIES = {"q1": "a b", "q2": "c"}
DOCUMENTS = {"d1": "d", "d2": "e f g h i j k l m n", "d3": "", "d4": " ".join("opqrstuvwxyzabcdefgh")}
PAIRS = [(q, d) for q in QUERIES for d in DOCUMENTS]
LOGITS = 1e-4


def job_scores(tmp_path: Path, model: Path, *options: str) -> list[float]:
    """Of PAIRS, through the whole job in shards of one query each."""
    lists = [query(q, [candidate(d, text) for d, text in DOCUMENTS.items()], text) for q, text in QUERIES.items()]
    source = Path(write(tmp_path / "in.parquet", nested_table(lists)))
    assert rerank(source, tmp_path / "out", model, "--shard_pairs", "4", *options) == 0
    result = scores(tmp_path / "out")
    return [result[pair] for pair in PAIRS]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_modernbert_through_the_job(tmp_path: Path, pooling: str) -> None:
    folder = tiny.modern_bert(tmp_path / "model", classifier_pooling=pooling)
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    backend = checkpoints.load_tokenizer(checkpoints.locate(str(folder))).backend_tokenizer
    with torch.inference_mode():
        expected = [model(torch.tensor([backend.encode(QUERIES[q], DOCUMENTS[d]).ids])).logits.item() for q, d in PAIRS]
    np.testing.assert_allclose(job_scores(tmp_path, folder), expected, atol=LOGITS)


def test_a_head_of_modules_through_the_job(tmp_path: Path) -> None:
    folder = tiny_modular.modular_cross_encoder(tmp_path)
    theirs = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    texts = [(QUERIES[q], DOCUMENTS[d]) for q, d in PAIRS]
    expected = theirs.predict(texts, activation_fn=torch.nn.Identity())
    np.testing.assert_allclose(job_scores(tmp_path, folder), expected, atol=LOGITS)


def test_jina_reranker_v3_5_through_the_job(tmp_path: Path) -> None:
    folder = tiny_listwise.windowed(tmp_path / "model", window=100)
    expected = [
        score
        for text in QUERIES.values()
        for score in tiny_listwise.scores(
            tiny_listwise.embeddings(folder, tiny_listwise.prompt(text, [*DOCUMENTS.values()], mark="<|rerank_token|>"))
        )
    ]
    np.testing.assert_allclose(job_scores(tmp_path, folder, "--candidate_order", "given"), expected, atol=2e-5)


def test_jina_reranker_v3_5_in_several_groups_is_v3s_mean_of_their_queries(tmp_path: Path) -> None:
    """Each group's query counts as much as its best document: (1 + cosine) / 2."""
    folder = tiny_listwise.windowed(tmp_path / "model", window=100)
    expected = []
    for text in QUERIES.values():
        prompts = [
            tiny_listwise.prompt(text, [*DOCUMENTS.values()][start : start + 2], mark="<|rerank_token|>")
            for start in (0, 2)
        ]
        groups = [tiny_listwise.embeddings(folder, each) for each in prompts]
        weights = [(1 + max(tiny_listwise.scores(rows))) / 2 for rows in groups]
        query_embedding = np.average([rows[-1] for rows in groups], axis=0, weights=weights)
        expected += [score for rows in groups for score in tiny_listwise.scores(rows, query_embedding)]
    result = job_scores(tmp_path, folder, "--candidate_order", "given", "--group_size", "2")
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)
