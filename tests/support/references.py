"""Scores of a checkpoint by the vendors' own libraries and recipes, one pair at a time, in float32 on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Qwen2VLTextModel,
    Qwen3ForCausalLM,
)

from tests.support import tiny_listwise

LONG = "a b c d e f g h z y x w v u t s r q p o n m l k j i h g f e d"
DOCUMENTS = ["a A b Z", LONG]
QUERIES = ["a b", LONG]
PAIRS = [(query, document) for query in QUERIES for document in DOCUMENTS]
Scores = NDArray[np.float32]
FLOAT32: dict[str, Any] = {"dtype": torch.float32}

JUDGE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
ANSWER = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


def cross_encoder(folder: Path) -> Scores:
    """sentence-transformers' CrossEncoder, as raw logits."""
    model = CrossEncoder(
        str(folder), device="cpu", local_files_only=True, activation_fn=torch.nn.Identity(), model_kwargs=FLOAT32
    )
    return np.array([model.predict([pair])[0] for pair in PAIRS])


def encoder(folder: Path) -> Scores:
    """sentence-transformers' SentenceTransformer, with the default prompt where the files name one."""
    model: Any = SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs=FLOAT32)
    prompts = {"prompt_name": model.default_prompt_name} if model.default_prompt_name else {}
    queries = model.encode_query(QUERIES, **prompts)
    documents = model.encode_document(DOCUMENTS, **prompts)
    return np.asarray(model.similarity(queries, documents)).reshape(-1)


def run(load: Callable[[Path], Any], folder: Path, ids: Sequence[int]) -> torch.Tensor:
    """What a language model gives first for one sequence of tokens.

    A model is loaded once for what its files say, but for those of its tokenizer, and run once on the same tokens.
    """
    files = tuple(path.read_bytes() for name in ("config", "generation_config") for path in folder.glob(f"{name}.json"))
    return _run(load, folder, files, tuple(ids))


@lru_cache(maxsize=256)
def _run(load: Callable[[Path], Any], folder: Path, files: tuple[bytes, ...], ids: tuple[int, ...]) -> torch.Tensor:
    with torch.no_grad():
        first: torch.Tensor = _loaded(load, folder, files)(torch.tensor([ids]))[0][0]
    return first


@lru_cache(maxsize=4)
def _loaded(load: Callable[[Path], Any], folder: Path, files: tuple[bytes, ...]) -> Any:
    return load(folder).eval()


def language_model(folder: Path) -> Any:
    """With its logits."""
    return AutoModelForCausalLM.from_pretrained(folder, **FLOAT32)


def classifier(folder: Path) -> Any:
    """With a trained head."""
    return AutoModelForSequenceClassification.from_pretrained(folder, **FLOAT32)


def listwise_backbone(folder: Path) -> Any:
    """Of a checkpoint that has a projector too."""
    return Qwen3ForCausalLM.from_pretrained(folder, **FLOAT32).model


def m0_backbone(folder: Path) -> Any:
    """Qwen2-VL's language model."""
    model = Qwen2VLTextModel(AutoConfig.from_pretrained(folder).get_text_config())
    tensors = load_file(folder / "model.safetensors")
    model.load_state_dict({key.removeprefix("model."): tensors[key] for key in tensors if key.startswith("model.")})
    return model


def yes_no(folder: Path, *, head: bool = False) -> Scores:
    """Qwen3-Reranker's model card, as the difference of the logits; or a trained head on the same tokens."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
    prefix, suffix = (tokenizer.encode(text, add_special_tokens=False) for text in (JUDGE, ANSWER))
    no, yes = (tokenizer.convert_tokens_to_ids(answer) for answer in ("no", "yes"))
    texts = [f"<Instruct>: {INSTRUCTION}\n<Query>: {query}\n<Document>: {document}" for query, document in PAIRS]
    room = 1024 - len(prefix) - len(suffix)
    inputs = tokenizer(texts, padding=False, truncation="longest_first", return_attention_mask=False, max_length=room)[
        "input_ids"
    ]
    logits = [run(classifier if head else language_model, folder, prefix + ids + suffix) for ids in inputs]
    return np.array([float(row) if head else float(row[-1, yes] - row[-1, no]) for row in logits])


def mxbai(folder: Path) -> Scores:
    """The package mxbai-rerank's prompt, as the difference of the logits."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
    opening = "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    task = (
        "You are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
        "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:"
    )
    no, yes = (tokenizer.encode(answer, add_special_tokens=False)[0] for answer in "01")
    scores = []
    for query, document in PAIRS:
        parts = (
            f"{opening}<|im_start|>user\n",
            f"query: {query}",
            "\n",
            f"document: {document}",
            "\n",
            f"{task}<|im_end|>\n<|im_start|>assistant\n",
        )
        ids = [token for part in parts for token in tokenizer.encode(part, add_special_tokens=False)]
        logits = run(language_model, folder, ids)[-1]
        scores.append(float(logits[yes] - logits[no]))
    return np.array(scores)


def listwise(folder: Path, mark: str = "") -> Scores:
    """jina-reranker-v3's prompt of all documents of a query, and its projector; with a mark that of v3.5."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
    tensors = load_file(folder / "model.safetensors")
    marks = [tokenizer.convert_tokens_to_ids(token) for token in ("<|embed_token|>", "<|rerank_token|>")]

    def scores() -> Iterator[float]:
        for query in QUERIES:
            ids = torch.tensor(tokenizer(tiny_listwise.prompt(query, DOCUMENTS, mark=mark))["input_ids"])
            documents, queries = ((ids == mark).nonzero()[:, 0] for mark in marks)
            hidden = run(listwise_backbone, folder, ids.tolist())[torch.cat([documents, queries[-1:]])]
            rows = torch.relu(hidden @ tensors["projector.0.weight"].T) @ tensors["projector.2.weight"].T
            yield from tiny_listwise.scores(rows.numpy())

    return np.array(list(scores()), dtype=np.float32)


def m0(folder: Path) -> Scores:
    """jina-reranker-m0's prompt of texts, Qwen2-VL's language model and the head."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    scores = []
    for query, document in PAIRS:
        ids = tokenizer(f"**Document**:\n{document}\n**Query**:\n{query}")["input_ids"]
        last = run(m0_backbone, folder, [*ids, 100])[-1]
        middle = torch.relu(tensors["score.0.weight"] @ last + tensors["score.0.bias"])
        scores.append(float(torch.sigmoid(tensors["score.2.weight"] @ middle + tensors["score.2.bias"] - 2.65)))
    return np.array(scores)


trained_head = partial(yes_no, head=True)
windowed_listwise = partial(listwise, mark="<|rerank_token|>")
