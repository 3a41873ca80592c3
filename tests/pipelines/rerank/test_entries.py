"""Models of the catalogue whose vendors' code is not at hand, as small random checkpoints with transformers' scores.

Each is scored by the core and by the whole job.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Qwen3Config,
    Qwen3ForSequenceClassification,
)

from tests.support import tiny, tiny_causal
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import rerank, rows
from transforms.scoring import RankingTask, Reranker

LISTS = {"a b": ["c d e", "", "f " * 9, "g h"], "i": ["a b", "j k l " * 40]}
JUDGE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n<Instruct>: Given a web '
    "search query, retrieve relevant passages that answer the query\n<Query>: {query}\n<Document>: {document}<|im_end|>"
    "\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
TURNS = "<|im_start|>system\n{query}<|im_end|>\n<|im_start|>user\n{document}<|im_end|>\n<|im_start|>assistant\n"
CHECK = (
    "Check whether a given document contains information helpful to answer the query.\n<Document> {document}\n"
    "<Query> {query} ??"
)
CTXL = "ContextualAI/ctxl-rerank-v2-instruct-multilingual"


class Frame(NamedTuple):
    """How the vendor's model is asked, and what its score is made of."""

    text: str
    plus: str
    minus: str | None = None
    stripped: bool = False
    fields: tuple[tuple[str, Any], ...] = ()  # of config.json


LANGUAGE_MODELS = {
    "Qwen/Qwen3-Reranker-8B": Frame(JUDGE, "yes", "no", fields=(("tie_word_embeddings", False),)),
    "nlpai-lab/KURE-Reranker-base": Frame(JUDGE, "yes", "no"),
    "zeroentropy/zerank-1": Frame(TURNS, "Yes", stripped=True),
    "zeroentropy/zerank-1-small": Frame(TURNS, "Yes", stripped=True),
    "zeroentropy/zerank-2": Frame(TURNS, "Yes", stripped=True),
    f"{CTXL}-1b": Frame(CHECK, "!"),
    f"{CTXL}-2b": Frame(CHECK, "!"),
}
CLASSIFIERS = {
    "BAAI/bge-reranker-base": tiny.xlm_roberta,
    "BAAI/bge-reranker-large": tiny.xlm_roberta,
    "cross-encoder/ms-marco-MiniLM-L6-v2": tiny.bert,
    "cross-encoder/ms-marco-MiniLM-L12-v2": tiny.bert,
}


def both_ways(tmp_path: Path, name: str, *options: str) -> list[list[float]]:
    """Scores of the lists' pairs in order, by the core and by the job."""
    values = dict(zip((option.removeprefix("--") for option in options[::2]), options[1::2], strict=True))
    typed: dict[str, Any] = {name: int(value) if value.isdigit() else value for name, value in values.items()}
    core = Reranker.load(str(tmp_path), like=name, dtype="float32", **typed)
    core_scores = core.score_tasks([RankingTask(*pair) for pair in LISTS.items()]).score.tolist()
    lists = [query(text, [candidate(f"{i}", d) for i, d in enumerate(texts)], text) for text, texts in LISTS.items()]
    source = Path(write(tmp_path / "in.parquet", nested_table(lists)))
    assert rerank(source, tmp_path / "out", tmp_path, "--model_like", name, *options) == 0
    job = sorted(rows(tmp_path / "out"), key=lambda row: (row["query_id"], row["doc_id"]))
    return [core_scores, [row["score"] for row in job]]


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_scores_of_language_models_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    frame = LANGUAGE_MODELS[name]
    tiny_causal.qwen3(tmp_path, **dict(frame.fields), max_position_embeddings=32768)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)

    def logit(question: str, document: str, answer: str | None) -> float:
        pair = (text.strip() if frame.stripped else text for text in (question, document))
        text = frame.text.format(**dict(zip(("query", "document"), pair, strict=True)))
        row = model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits[0, -1]
        return float(row[tokenizer.convert_tokens_to_ids(answer)]) if answer else 0.0

    with torch.no_grad():
        raw = [logit(q, d, frame.plus) - logit(q, d, frame.minus) for q, docs in LISTS.items() for d in docs]
    scale = 5.0 if frame.text is TURNS else 1.0
    for result in both_ways(tmp_path, name, "--activation", "none"):
        assert result == pytest.approx(raw, abs=1e-4)
    sigmoids = [1 / (1 + float(torch.tensor(-score / scale).exp())) for score in raw]
    core = Reranker.load(str(tmp_path), like=name, dtype="float32", activation="sigmoid")
    core_scores = [score for q, docs in LISTS.items() for score in core.score(q, docs)]
    assert core_scores == pytest.approx(sigmoids, abs=2e-5)


@pytest.mark.parametrize("size", ["0.6B", "4B", "8B"])
def test_scores_of_a_conversion_are_those_of_transformers_and_of_its_source(tmp_path: Path, size: str) -> None:
    source, folder, name = tmp_path / "source", tmp_path / "folder", f"tomaarsen/Qwen3-Reranker-{size}-seq-cls"
    tokenizer = AutoTokenizer.from_pretrained(tiny_causal.qwen3(source))
    language_model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    yes, no = (tokenizer.convert_tokens_to_ids(answer) for answer in ("yes", "no"))
    model = Qwen3ForSequenceClassification(Qwen3Config.from_pretrained(source, num_labels=1))
    model.model.load_state_dict(language_model.model.state_dict())
    model.score.weight = torch.nn.Parameter(torch.diff(language_model.lm_head.weight[[no, yes]], dim=0))
    tiny_causal.tokenizer().save_pretrained(folder)
    model.eval().save_pretrained(folder)
    texts = (JUDGE.format(query=q, document=d) for q, docs in LISTS.items() for d in docs)
    with torch.no_grad():
        inputs = [tokenizer(text, return_tensors="pt", return_token_type_ids=False) for text in texts]
        expected = [float(model(**each).logits[0, 0]) for each in inputs]
    for result in both_ways(folder, name, "--activation", "none"):
        assert result == pytest.approx(expected, abs=1e-4)
    converted, original = (
        Reranker.load(str(place), like=like, dtype="float32")
        for place, like in ((folder, name), (source, "Qwen/Qwen3-Reranker-0.6B"))
    )
    for question, documents in LISTS.items():
        assert converted.score(question, documents) == pytest.approx(original.score(question, documents), abs=2e-5)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_scores_of_classifiers_are_those_of_transformers(tmp_path: Path, name: str) -> None:
    make: Callable[[Path], Path] = CLASSIFIERS[name]
    make(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, dtype=torch.float32)
    expected = []
    with torch.no_grad():
        for question, documents in LISTS.items():
            for text in documents:
                encoded = tokenizer([(question, text)], truncation="only_second", max_length=32, return_tensors="pt")
                expected.append(float(model(**encoded).logits[0, 0]))
    for result in both_ways(tmp_path, name, "--max_length", "32"):
        assert result == pytest.approx(expected, abs=1e-4)
