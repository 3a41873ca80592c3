"""What a user calls from Python: rank, score and score_frame, and what they refuse."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tests.support import tiny, tiny_causal, tiny_encoder, tiny_listwise
from transforms.base.errors import UserError
from transforms.scoring import Encoder, RankingTask, Reranker, scorer
from transforms.scoring.reranker import specify

NO_INSTRUCTION = "^instruction: this model takes none; leave it out, or write it into the query$"
DOCUMENTS = ["b", "c d e", "f", " ".join("g" * 40)]


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Reranker:
    return Reranker.load(str(tiny.bert(tmp_path_factory.mktemp("bert"))), device="cpu", dtype="float32")


def test_rank_orders_by_score_and_says_what_was_not_read(reranker: Reranker) -> None:
    scores = reranker.score("a", DOCUMENTS)
    result = reranker.rank("a", DOCUMENTS)
    assert [ranked.index for ranked in result] == np.argsort(scores)[::-1].tolist()
    assert [ranked.score for ranked in result] == sorted(scores, reverse=True)
    unseen = {ranked.index: ranked.truncated_tokens for ranked in result}
    assert unseen == {0: 0, 1: 0, 2: 0, 3: 12}  # 32 places, three special tokens, one of the query
    assert reranker.rank("a", DOCUMENTS, top_k=2) == result[:2]
    assert reranker.rank("a", []) == []


def test_equal_scores_keep_the_order_given_and_none_come_last(reranker: Reranker) -> None:
    result = reranker.rank("a", ["\ud800", "b", "b"])
    assert [ranked.index for ranked in result] == [1, 2, 0]
    assert np.isnan(result[-1].score)


def test_a_title_is_put_before_the_text(reranker: Reranker) -> None:
    [result] = reranker.rank("a", [{"title": "b c", "text": "d"}])
    [expected] = reranker.rank("a", ["b c d"])
    assert result == expected
    assert reranker.score("a", [{"text": "d"}, {"title": "", "text": "d"}]) == reranker.score("a", ["d", "d"])


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ("Paris", "documents: a str; give a list of texts, also for one document"),
        ({"text": "d"}, "documents: a dict; give a list of texts, also for one document"),
        (None, "documents: a NoneType; give a list of texts, also for one document"),
        (["a", None], "documents[1]: a NoneType in it; give a text, or a title and a text"),
        ([{"title": "a"}], "documents[0]: a NoneType in it; give a text, or a title and a text"),
        ([{"title": 3, "text": "a"}], "documents[0]: an int in it; give a text, or a title and a text"),
        ([3], "documents[0]: an int in it; give a text, or a title and a text"),
    ],
)
def test_documents_that_are_no_list_of_texts(reranker: Reranker, documents: Any, message: str) -> None:
    for call in (reranker.rank, reranker.score, lambda q, d: reranker.score_lists([(q, d)])):
        with pytest.raises(UserError) as refused:
            call("a", documents)
        assert str(refused.value) == message


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (("a", ["b"]), "lists[0]: a str; give (query, documents), also for one list"),
        ([("a", ["b"]), ("a",)], "lists[1]: a tuple; give (query, documents), also for one list"),
        ([("a", ["b"]), None], "lists[1]: a NoneType; give (query, documents), also for one list"),
        ([("a", "b")], "documents: a str; give a list of texts, also for one document"),
    ],
)
def test_lists_that_are_no_queries_with_documents(reranker: Reranker, lists: Any, message: str) -> None:
    with pytest.raises(UserError) as refused:
        reranker.score_lists(lists)
    assert str(refused.value) == message


def test_a_query_that_is_no_text(reranker: Reranker) -> None:
    with pytest.raises(UserError, match=r"^query: a NoneType; give a text$"):
        reranker.rank(None, ["a"])  # type: ignore[arg-type]


def test_an_instruction_is_taken_or_refused(tmp_path: Path) -> None:
    def load(folder: Path, **choices: Any) -> Reranker:
        return Reranker.load(str(folder), device="cpu", dtype="float32", **choices)

    yes_no = {"like": "Qwen/Qwen3-Reranker-0.6B", "max_length": 1024}
    taking = [load(tiny_listwise.checkpoint(tmp_path / "v3")), load(tiny_causal.qwen3(tmp_path / "qwen3"), **yes_no)]
    for model in taking:
        assert model.score("a", ["b"], instruction="c d") != pytest.approx(model.score("a", ["b"]), abs=1e-6)
    for model in (load(tiny.bert(tmp_path / "bert")), load(tiny_encoder.bert(tmp_path / "encoder"))):
        with pytest.raises(UserError, match=NO_INSTRUCTION):
            model.rank("a", ["b"], instruction="c")
        with pytest.raises(UserError, match=NO_INSTRUCTION):
            model.score_lists([RankingTask("a", ["b"], "c")])
        with pytest.raises(UserError, match=NO_INSTRUCTION):
            model.score_tasks([RankingTask("a", ["b"], "c")])
        with pytest.raises(UserError, match=r"^instruction: an int; give a text$"):
            model.score("a", ["b"], 3)  # type: ignore[arg-type]


PAIRS: dict[str, list[Any]] = {"query": ["a", "b", "a", "a"], "text": ["c", "d e", "f g", "c"], "id": [7, 8, 9, 10]}


def expected(reranker: Reranker) -> list[float]:
    first, third, fourth = reranker.score("a", ["c", "f g", "c"])
    [second] = reranker.score("b", ["d e"])
    return [first, second, third, fourth]


def test_frames_get_a_column_of_scores(reranker: Reranker) -> None:
    table = pa.table(PAIRS)
    result = reranker.score_frame(table)
    assert result.column_names == ["query", "text", "id", "score"]
    np.testing.assert_allclose(result["score"].to_numpy(), expected(reranker), atol=1e-5)
    frame = pd.DataFrame(PAIRS, index=[3, 1, 2, 0])
    scored = reranker.score_frame(frame.rename(columns={"text": "body"}), text="body", column="s")
    assert list(scored.columns) == ["query", "body", "id", "s"]
    assert list(scored.index) == [3, 1, 2, 0]
    np.testing.assert_allclose(scored["s"], expected(reranker), atol=1e-5)
    assert list(frame.columns) == list(PAIRS)  # the user's own frame is left as it is
    assert reranker.score_frame(table.slice(0, 0)).num_rows == 0


def test_a_stream_that_can_be_read_once_is_scored(reranker: Reranker) -> None:
    result: Any = reranker.score_frame(pa.table(PAIRS).to_reader())
    assert result.column_names == ["query", "text", "id", "score"]
    np.testing.assert_allclose(result["score"].to_numpy(), expected(reranker), atol=1e-5)


def test_columns_that_are_not_read_may_hold_anything(reranker: Reranker) -> None:
    columns: dict[Any, list[Any]] = {**PAIRS, "other": [1, "b", None, object()], 3: [0, 0, 0, 0]}
    frame = pd.DataFrame(columns, index=[2, "b", 3, None])
    scored = reranker.score_frame(frame)
    assert list(scored.columns) == ["query", "text", "id", "other", 3, "score"]
    np.testing.assert_allclose(scored["score"], expected(reranker), atol=1e-5)
    numbered = reranker.score_frame(pd.DataFrame([PAIRS["query"], PAIRS["text"]]).T, query="0", text="1")
    assert list(numbered.columns) == [0, 1, "score"]
    np.testing.assert_allclose(numbered["score"], expected(reranker), atol=1e-5)


@pytest.mark.parametrize("top_k", [-1, 1.5, "2"])
def test_a_number_of_documents_that_there_is_not_cannot_be_asked_for(reranker: Reranker, top_k: Any) -> None:
    with pytest.raises(UserError, match=f"^top_k: {top_k}; give how many documents you want, or None for all$"):
        reranker.rank("a", ["b", "c"], top_k=top_k)
    number: Any = np.int64(1)  # no int to a type checker
    assert len(reranker.rank("a", ["b", "c"], top_k=number)) == 1
    assert reranker.rank("a", ["b", "c"], top_k=0) == []


def test_progress_is_a_bar_of_pairs(reranker: Reranker, capsys: pytest.CaptureFixture[str]) -> None:
    reranker.score_frame(pa.table(PAIRS), progress=True)
    assert "4.0/4 [" in capsys.readouterr().err
    reranker.score_frame(pa.table(PAIRS))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("frame", "choices", "message"),
    [
        (PAIRS["query"], {}, "frame: a list is not a table"),
        (pl.LazyFrame(PAIRS), {}, "frame: a LazyFrame is not a table"),
        (
            pa.table(PAIRS),
            {"text": "body"},
            "frame: no column 'body'; it has query, text, id; name it by query= or text=",
        ),
        (pa.table(PAIRS), {"text": "id"}, "frame: column 'id' is int64, not text; convert it"),
        (pa.table(PAIRS), {"column": "id"}, "frame: has a column 'id' already; name another by column="),
        (
            pa.table({"query": ["a", "a"], "text": ["b", None]}),
            {},
            "frame: column 'text' is null in row 1; fill or drop such rows",
        ),
        (
            pa.table({"query": ["a", "a"], "text": pa.DictionaryArray.from_arrays([0, 1], ["b", None])}),
            {},
            "frame: column 'text' is null in row 1; fill or drop such rows",
        ),
        (
            pd.DataFrame({"query": ["a", "a"], "text": ["b", 3]}, dtype=object),
            {},
            "frame: column 'text' has values that are not text (Expected bytes, got a 'int' object); convert it",
        ),
        (
            pd.DataFrame({"query": ["a", "a"], "text": ["b", None]}),
            {},
            "frame: column 'text' is null in row 1; fill or drop such rows",
        ),
        (pd.DataFrame(PAIRS), {"column": 3}, "column: 3 is not text; give the column's name as text, '3'"),
        (pa.table(PAIRS), {"query": None}, "query: None is not text; give the column's name as text, 'None'"),
        (pd.DataFrame({"query": ["a"], "text": ["b"], 3: [4]}), {"column": "3"}, "frame: has a column '3' already;"),
        (
            pa.table([["a"], ["b"], ["c"]], names=["query", "text", "text"]),
            {},
            "frame: has several columns 'text'; rename all but one",
        ),
        (
            pa.table({"query": ["a"], "text": pa.array([b"\xff"]).view(pa.string())}),
            {},
            "frame: column 'text' is not valid UTF-8 (",
        ),
    ],
)
def test_frames_that_cannot_be_scored(reranker: Reranker, frame: Any, choices: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        reranker.score_frame(frame, **choices)
    assert str(refused.value).startswith(message)


def test_examples_in_docstrings_are_true() -> None:
    result = doctest.testmod(scorer)
    assert (result.failed, result.attempted > 5) == (0, True)


def test_types_are_those_that_the_calls_give(reranker: Reranker) -> None:
    """Of what they take and give to a user's own type checker; mypy reads the first two of each line."""
    titled = [{"title": "b", "text": "c"}]
    frame = pd.DataFrame(PAIRS)
    assert type(assert_type(reranker.rank("a", titled), list[scorer.Ranked])) is list
    assert type(assert_type(reranker.score("a", ["b"]), list[float])) is list
    assert type(assert_type(reranker.score_lists([("a", ["b"])]), list[list[float]])) is list
    assert type(assert_type(reranker.score_frame(frame), pd.DataFrame)) is pd.DataFrame


@pytest.mark.parametrize("kind", [Reranker, Encoder])
def test_a_directory_may_be_a_path(tmp_path: Path, kind: Any) -> None:
    model = (tiny.bert if kind is Reranker else tiny_encoder.bert)(tmp_path / "model")
    assert kind.load(Path(model), device="cpu").specification.checkpoint.name == str(model)
    with pytest.raises(UserError, match=f"^model {tmp_path}/other: no such directory; "):
        specify(tmp_path / "other")


def test_a_model_is_loaded_with_the_threads_that_are_asked_for(tmp_path: Path) -> None:
    folder = str(tiny.bert(tmp_path / "bert"))
    assert Reranker.load(folder, threads=1).specification.execution.threads == 1
    with pytest.raises(UserError, match=r"^--threads 0: give a positive number$"):
        Reranker.load(folder, threads=0)
