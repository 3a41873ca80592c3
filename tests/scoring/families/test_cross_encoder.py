from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from tests.support import tiny
from transforms.base.errors import UserError
from transforms.scoring import RankingTask, Reranker
from transforms.scoring.families.cross_encoder import cut, resolve
from transforms.scoring.families.pairs import Template
from transforms.scoring.packed.packing import Packed
from transforms.scoring.results import Failure
from transforms.scoring.settings import CrossEncoderSettings as Settings
from transforms.scoring.weights import checkpoints

BERT = Template(prefix=(2,), middle=(3,), suffix=(3,), typed_middle=1, alone=2)
XLM_ROBERTA = Template(prefix=(0,), middle=(2, 2), suffix=(2,), typed_middle=None, alone=2)

TRUNCATE = Settings(max_length=32)  # room for 29 tokens in a BERT
ONLY_DOCUMENT = Settings(max_length=32, truncation="only_document")
WINDOW = Settings(max_length=32, long_documents="window")  # room for 28 tokens in an XLM-R
TEXTS = ("a b c", "d", "", "e f g h i j k", "x <pad> y", "l m n")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def xlm_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.xlm_roberta(tmp_path_factory.mktemp("xlm_roberta"))


Found = tuple[int, tuple[tuple[int, int], ...]]


def ranges(query: int, document: int, settings: Settings, template: Template) -> Found:
    """What is read of a query, and the ranges of its document."""
    cuts = cut(np.array([query]), np.array([document]), settings, template)
    first, length = cuts.document.first.tolist(), cuts.document.tokens.tolist()
    return int(cuts.query[0]), tuple((start, start + count) for start, count in zip(first, length, strict=True))


def load(folder: Path, **options: Any) -> Reranker:
    return Reranker.load(str(folder), device="cpu", dtype="float32", **options)


@pytest.mark.parametrize(
    ("query", "document", "settings", "cuts"),
    [
        (5, 10, TRUNCATE, (5, ((0, 10),))),
        (9, 20, TRUNCATE, (9, ((0, 20),))),  # fits exactly
        (9, 21, TRUNCATE, (9, ((0, 20),))),
        (40, 3, TRUNCATE, (26, ((0, 3),))),
        (40, 50, TRUNCATE, (14, ((0, 15),))),
        (0, 50, TRUNCATE, (0, ((0, 29),))),
        (40, 50, replace(TRUNCATE, max_query_length=8), (8, ((0, 21),))),
        (24, 9, ONLY_DOCUMENT, (24, ((0, 5),))),  # the query takes three quarters of 32 at most
        (40, 9, ONLY_DOCUMENT, (24, ((0, 5),))),
        (40, 9, replace(ONLY_DOCUMENT, max_length=16, max_query_length=13), (12, ((0, 1),))),
        (3, 40, ONLY_DOCUMENT, (3, ((0, 26),))),
        (3, 0, ONLY_DOCUMENT, (3, ((0, 0),))),
        (40, 40, replace(ONLY_DOCUMENT, max_query_length=8), (8, ((0, 21),))),
    ],
)
def test_cut_of_what_is_read_from_its_beginning(query: int, document: int, settings: Settings, cuts: Found) -> None:
    assert ranges(query, document, settings, BERT) == cuts


@pytest.mark.parametrize(
    ("query", "document", "settings", "cuts"),
    [
        (4, 24, WINDOW, (4, ((0, 24),))),
        (4, 25, WINDOW, (4, ((0, 24), (1, 25)))),
        (40, 40, WINDOW, (14, ((0, 14), (11, 25), (22, 36), (26, 40)))),  # query and its two special tokens: 16
        (40, 30, replace(WINDOW, max_query_length=6), (4, ((0, 24), (6, 30)))),
        (40, 60, replace(WINDOW, overlap_tokens=0), (14, ((0, 14), (14, 28), (28, 42), (42, 56), (46, 60)))),
        (4, 0, WINDOW, (4, ((0, 0),))),
    ],
)
def test_cut_into_windows(query: int, document: int, settings: Settings, cuts: Found) -> None:
    assert ranges(query, document, settings, XLM_ROBERTA) == cuts


def test_max_length_is_what_the_checkpoint_allows(bert: Path, xlm_roberta: Path) -> None:
    assert resolve(checkpoints.locate(str(bert)), Settings()).max_length == 32
    # 34 rows of positions, two of them for padding.
    assert resolve(checkpoints.locate(str(xlm_roberta)), Settings()).max_length == 32


@pytest.mark.parametrize(("stored", "max_length"), [(20, 20), (10**30, 32), (None, 32)])
def test_max_length_is_that_of_the_tokenizer_where_it_has_one(
    tmp_path: Path, stored: int | None, max_length: int
) -> None:
    folder = tiny.bert(tmp_path)
    tiny.change(folder / "tokenizer_config.json", model_max_length=stored)
    assert resolve(checkpoints.locate(str(folder)), Settings()).max_length == max_length
    assert resolve(checkpoints.locate(str(folder)), Settings(max_length=24)).max_length == 24


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(max_length=15), "--max_length 15: {name} takes 16 to 32 tokens"),
        (Settings(max_length=33), "--max_length 33: {name} takes 16 to 32 tokens"),
        (
            Settings(max_query_length=3),
            "--max_query_length 3: with --max_length 32 and --long_documents truncate it must be from 4 to 24",
        ),
        (
            Settings(max_query_length=25),
            "--max_query_length 25: with --max_length 32 and --long_documents truncate it must be from 4 to 24",
        ),
        (
            Settings(window_score="max"),
            "--window_score max: needs --long_documents window; give that too",
        ),
        (
            Settings(max_query_length=17, long_documents="window"),
            "--max_query_length 17: with --max_length 32 and --long_documents window it must be from 4 to 16",
        ),
    ],
)
@pytest.mark.parametrize("kind", [tiny.bert, tiny.xlm_roberta])
def test_lengths_that_do_not_fit(tmp_path: Path, kind: Any, settings: Settings, message: str) -> None:
    name = str(kind(tmp_path))
    with pytest.raises(UserError) as refused:
        resolve(checkpoints.locate(name), settings)
    assert str(refused.value) == message.format(name=name)


@pytest.mark.parametrize("kind", [tiny.bert, tiny.xlm_roberta])
def test_scores_are_those_of_transformers_one_pair_at_a_time(tmp_path: Path, kind: Any) -> None:
    folder = kind(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    backend = checkpoints.load_tokenizer(checkpoints.locate(str(folder))).backend_tokenizer
    expected = []
    for query in TEXTS:
        for document in TEXTS:
            pair = backend.encode(query, document)
            types = {"token_type_ids": torch.tensor([pair.type_ids])} if kind is tiny.bert else {}
            with torch.inference_mode():
                expected.append(model(input_ids=torch.tensor([pair.ids]), **types).logits.item())
    scores = load(folder).score_lists([(query, TEXTS) for query in TEXTS])
    np.testing.assert_allclose(np.concatenate(scores), expected, atol=1e-5)
    assert len(set(np.round(expected, 4))) > 30  # else the comparison says nothing


def test_a_padding_token_in_a_text_counts_no_place_in_an_xlm_roberta(xlm_roberta: Path) -> None:
    family = load(xlm_roberta).family
    seen: dict[str, list[int]] = {}

    def record(module: Any, arguments: Any, keywords: dict[str, torch.Tensor]) -> None:
        seen.update({name: keywords[name][0].tolist() for name in ("input_ids", "position_ids")})

    family.backbone.model.embeddings.register_forward_pre_hook(record, with_kwargs=True)  # type: ignore[attr-defined]
    reranker = load(xlm_roberta)
    reranker.family = family
    reranker.score("a <pad> b", ["c", "<pad> d"])
    assert seen["input_ids"] == [0, 4, 1, 5, 2, 2, 1, 7, 2, 0, 4, 1, 5, 2, 2, 6, 2, *[0] * 47]
    assert seen["position_ids"] == [2, 3, 1, 4, 5, 6, 1, 7, 8, 2, 3, 1, 4, 5, 6, 7, 8, *[2] * 47]


def test_ledger_of_truncated_pairs(bert: Path) -> None:
    query, document = " ".join("a" * 40), " ".join("b" * 50)
    scores = load(bert).score_tasks([RankingTask(query, ["b", document]), RankingTask("a", [document, ""])])
    assert scores.tokens is not None
    assert scores.truncated_tokens is not None
    assert scores.query_truncated_tokens is not None
    assert scores.tokens.tolist() == [32, 32, 32, 4]
    assert scores.truncated_tokens.tolist() == [0, 35, 22, 0]
    assert scores.query_truncated_tokens.tolist() == [12, 26, 0, 0]
    assert scores.windows is None


def test_ledger_of_windows(xlm_roberta: Path) -> None:
    query, document = " ".join("a" * 40), " ".join("b" * 40)
    scores = load(xlm_roberta, long_documents="window").score_tasks([RankingTask(query, ["b", document])])
    assert scores.tokens is not None
    assert scores.truncated_tokens is not None
    assert scores.query_truncated_tokens is not None
    assert scores.windows is not None
    assert scores.tokens.tolist() == [19, 4 * 32]
    assert scores.truncated_tokens.tolist() == [0, 0]
    assert scores.query_truncated_tokens.tolist() == [26, 26]
    assert scores.windows.tolist() == [1, 4]


def test_the_best_window_is_the_score(xlm_roberta: Path) -> None:
    letters = "bcdefghijklmnopqrstuvwxyzabcde"
    query = "a b c"  # leaves 25 of the 30 tokens to a window, and an overlap of 6
    windows = [" ".join(letters[start:end]) for start, end in ((0, 25), (5, 30))]
    reranker = load(xlm_roberta, long_documents="window")
    scores = reranker.score(query, windows)
    assert reranker.score(query, [" ".join(letters)]) == pytest.approx([max(scores)], abs=1e-5)
    assert abs(scores[0] - scores[1]) > 1e-3


@pytest.mark.parametrize("window_score", ["max", "mean", "first"])
def test_windows_make_the_score_that_was_asked_for(xlm_roberta: Path, window_score: str) -> None:
    letters = "bcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcd"
    query = "a b c"  # leaves 25 of the 55 tokens to a window, and an overlap of 6
    ranges = ((0, 25), (19, 44), (30, 55))
    apart = np.array(load(xlm_roberta).score(query, [" ".join(letters[start:end]) for start, end in ranges]))
    reranker = load(xlm_roberta, long_documents="window", window_score=window_score)
    scores = reranker.score_tasks([RankingTask(query, [" ".join(letters), "b", "\ud800"])])
    expected = {"max": apart.max(), "mean": apart.mean(), "first": apart[0]}[window_score]
    best = 0 if window_score == "first" else int(apart.argmax())
    assert scores.score[0] == pytest.approx(expected, abs=1e-5)
    assert scores.windows is not None
    assert scores.truncated_tokens is not None
    assert scores.best_window is not None
    assert scores.best_window_token is not None
    assert scores.windows.tolist() == [1 if window_score == "first" else 3, 1, 0]
    assert scores.truncated_tokens.tolist() == [30 if window_score == "first" else 0, 0, 0]
    assert scores.best_window.tolist() == [best, 0, 0]
    assert scores.best_window_token.tolist() == [ranges[best][0], 0, 0]
    assert [str(each.dtype) for each in (scores.best_window, scores.best_window_token)] == ["int16", "int32"]
    assert scores.score[1] == pytest.approx(load(xlm_roberta, long_documents="window").score(query, ["b"])[0], abs=1e-5)
    assert np.isnan(scores.score[2])
    assert np.ptp(apart) > 1e-3


def test_the_best_window_is_in_the_fingerprint_where_it_is_asked_for_alone(xlm_roberta: Path) -> None:
    for options in ({"long_documents": "window"}, {"long_documents": "window", "window_score": "max"}):
        settings = load(xlm_roberta, **options).specification.fingerprint()["settings"]
        assert settings.get("window_score") == options.get("window_score")
        assert set(settings) - {"window_score"} == {
            *("max_length", "max_query_length", "long_documents", "truncation", "overlap_tokens", "activation")
        }


def test_sigmoid(bert: Path) -> None:
    logits = torch.tensor(load(bert).score("a", TEXTS), dtype=torch.float64)
    np.testing.assert_allclose(load(bert, activation="sigmoid").score("a", TEXTS), logits.sigmoid(), atol=1e-5)


def test_a_text_that_cannot_be_tokenised_fails_its_pairs_alone(bert: Path) -> None:
    reranker = load(bert)
    tasks = [RankingTask("a", ["b", "\ud800", "c"]), RankingTask("\ud800", ["b", "c"]), RankingTask("d", ["e"])]
    scores = reranker.score_tasks(tasks)
    assert {pair: failure.reason for pair, failure in scores.failures.items()} == dict.fromkeys(
        (1, 3, 4), "tokenizer_error"
    )
    good = [*reranker.score("a", ["b", "c"]), *reranker.score("d", ["e"])]
    np.testing.assert_allclose(scores.score[[0, 2, 5]], good, atol=1e-5)
    assert np.isnan(scores.score[[1, 3, 4]]).all()


def test_a_score_that_is_no_number_is_a_failure(tmp_path: Path) -> None:
    folder = tiny.bert(tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["bert.embeddings.word_embeddings.weight"][29] = torch.nan  # the letter z
    save_file(tensors, folder / "model.safetensors")
    scores = load(folder).score_tasks([RankingTask("a", ["b", "z", "c"])])
    assert scores.failures == {1: Failure("nan_score", "the model's score is nan")}
    assert np.isnan(scores.score).tolist() == [False, True, False]


def test_a_pair_of_which_a_window_fits_into_no_memory_is_a_failure(xlm_roberta: Path) -> None:
    reranker = load(xlm_roberta, long_documents="window", max_length=24)
    family = reranker.family
    forward = family.forward

    def small(packed: Packed) -> torch.Tensor:
        if len(packed.ids) - packed.padding > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(packed)

    expected = reranker.score("a", ["b", "c d"])
    family.forward = small  # type: ignore[method-assign]
    scores = reranker.score_tasks([RankingTask("a", ["b", " ".join("d" * 30), "c d"])])
    assert {pair: failure.reason for pair, failure in scores.failures.items()} == {1: "out_of_memory"}
    np.testing.assert_allclose(scores.score[[0, 2]], expected, atol=1e-5)
    assert np.isnan(scores.score[1])
    assert scores.counts["oom_splits"] > 0
