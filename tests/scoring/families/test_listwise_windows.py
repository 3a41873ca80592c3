"""jina-reranker-v3.5: the listwise family with a window in some layers, and the query's token twice in its prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import tiny_listwise
from tests.support.tiny import change
from tests.support.tiny_listwise import embeddings, prompt, scores
from transforms.base.errors import UserError
from transforms.scoring import RankingTask, Reranker
from transforms.scoring.catalogue import named
from transforms.scoring.families.listwise import Listwise
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.recognition import recognise
from transforms.scoring.results import Failure
from transforms.scoring.settings import WindowedListwiseSettings
from transforms.scoring.weights.checkpoints import load_tokenizer, locate

QUERY = "what is it?"
DOCUMENTS = ["a cab", "back to the lab\n", "", "12 bananas", "\n\nabba  baab"]
MARK = "<|rerank_token|>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_listwise.windowed(tmp_path / "listwise", window=100)


def load(folder: Path, **options: Any) -> Reranker:
    return Reranker.load(str(folder), device="cpu", dtype="float32", **options)


@pytest.mark.parametrize("window", [1, 7, 100, 5000])
def test_scores_are_those_of_transformers_qwen3_with_the_same_windows(tmp_path: Path, window: int) -> None:
    folder = tiny_listwise.windowed(tmp_path / "listwise", window=window)
    expected = scores(embeddings(folder, prompt(QUERY, DOCUMENTS, mark=MARK)))
    np.testing.assert_allclose(load(folder).score(QUERY, DOCUMENTS), expected, atol=2e-5)
    assert np.abs(np.subtract(expected, scores(embeddings(folder, prompt(QUERY, DOCUMENTS))))).max() > 1e-3


def test_the_first_window_changes_the_scores(tmp_path: Path) -> None:
    one, other = (
        load(tiny_listwise.windowed(tmp_path / str(window), window=window)).score(QUERY, DOCUMENTS)
        for window in (100, 200)
    )
    assert np.abs(np.subtract(one, other)).max() > 1e-3


def test_a_directory_says_by_its_windows_which_of_the_two_it_is(folder: Path, tmp_path: Path) -> None:
    assert recognise(locate(str(folder))) is named("jinaai/jina-reranker-v3.5")
    full = tiny_listwise.checkpoint(tmp_path / "full")
    assert recognise(locate(str(full))) is named("jinaai/jina-reranker-v3")
    with pytest.raises(UserError, match=r"config.json has layers with sliding_attention, as jina-reranker-v3\.5 has;"):
        load(folder, like="jinaai/jina-reranker-v3")
    with pytest.raises(UserError, match=r"config.json has no layers with sliding_attention, as jina-reranker-v3 has;"):
        load(full, like="jinaai/jina-reranker-v3.5")
    change(folder / "config.json", sliding_window=0)
    with pytest.raises(UserError, match="no sliding_window above 0"):
        load(folder)


def test_a_prompt_with_the_querys_token_more_than_twice_is_refused(folder: Path) -> None:
    """The vendor's own removal leaves a token that was hidden in another."""
    hidden = "<|rerank<|embed_token|>_token|>"
    tasks = [RankingTask(QUERY, [hidden, "a cab"]), RankingTask(QUERY, DOCUMENTS)]
    result = load(folder).score_tasks(tasks)
    detail = f"its prompt has {MARK} 3 times, not 2; --special_tokens escape makes plain text of it"
    assert result.failures == dict.fromkeys((0, 1), Failure("tokenizer_error", detail))
    assert np.isfinite(result.score[2:]).all()
    assert load(folder, special_tokens="escape").score_tasks(tasks).failures == {}


@pytest.mark.parametrize(
    ("documents", "tokens"),
    [
        (["Green tea contains antioxidants called catechins that may help reduce inflammation."], 180),
        (
            [
                "Green tea contains antioxidants called catechins that may help reduce inflammation.",
                "Studies show that drinking green tea regularly can improve brain function.",
            ],
            205,
        ),
    ],
)
def test_prompt_has_as_many_tokens_as_in_the_vendors_tokenizer(
    fixtures: Path, folder: Path, documents: list[str], tokens: int
) -> None:
    """Counts from the tests of a port that is held to the vendor's code (mlx-swift-lm)."""
    tokenizer = load_tokenizer(
        locate(str(folder)).__class__(  # the tokenizer alone, without a model
            "jina", fixtures / "models" / "tokenizers" / "qwen3-jina-v3", None, {}, {}
        )
    )
    family = Listwise(WindowedListwiseSettings(max_length=131_072), None, [], tokenizer)  # type: ignore[arg-type]
    task = RankingTask("What are the health benefits of green tea?", documents)
    [sequence] = family.prepare([task], Tokens(tokenizer)).sequences
    assert len(sequence.ids) == tokens
