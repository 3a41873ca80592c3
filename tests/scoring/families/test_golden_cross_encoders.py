"""Scores by the vendors' own code: jina-reranker-v2's `compute_score` and `rerank`, FlagEmbedding's `FlagReranker`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.vendor import largest_difference, loader
from transforms.base.errors import UserError
from transforms.scoring import Reranker
from transforms.scoring.families import cross_encoder
from transforms.scoring.recognition import recognise
from transforms.scoring.settings import CrossEncoderSettings
from transforms.scoring.weights import checkpoints
from transforms.scoring.weights.checkpoints import Checkpoint

JINA = "jinaai/jina-reranker-v2-base-multilingual"
BGE = "BAAI/bge-reranker-v2-m3"

Case = dict[str, Any]
Load = Callable[[Case], Reranker]

# What the vendors' options are called here; those of the form of the call are none here.
OURS = {"query_max_length": "max_query_length", "method": "long_documents", "normalize": "activation"}
VALUES = {"rerank": "window", "compute_score": "truncate", True: "sigmoid"}
OF_THE_CALL = {"batch_size", "top_n", "query_instruction_for_rerank", "passage_instruction_for_rerank"}


def options_of(case: Case) -> dict[str, Any]:
    return {
        OURS.get(name, name): VALUES[value] if name in {"method", "normalize"} else value
        for name, value in case["options"].items()
        if name not in OF_THE_CALL
    }


def as_tokenised(case: Case) -> Case:
    """The case with the scores for the form of the tokenizer that transformers 5 loads, where it has both."""
    variant: Case = case.get("whitespace_split_variant", {})
    return case | variant


def prefixed(case: Case) -> Case:
    """FlagReranker's instructions are no more than text in front."""
    query = case["options"].get("query_instruction_for_rerank", "")
    document = case["options"].get("passage_instruction_for_rerank", "")
    if not query:
        return case
    return case | {"query": query + case["query"], "documents": [document + text for text in case["documents"]]}


def differences(cases: dict[str, Case], load: Load) -> tuple[dict[str, float], int]:
    """The largest difference of each case that has scores, and how many scores these are together."""
    by_case = {name: largest_difference(load(case), case) for name, case in cases.items() if case["scores"]}
    return {name: difference for name, (difference, _) in by_case.items()}, sum(
        scores for _, scores in by_case.values()
    )


def load_by_case(folder: Path, like: str) -> Iterator[Load]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        load = loader(folder, like, monkeypatch)
        yield lambda case: load(options_of(case))


@pytest.fixture(scope="module")
def jina(golden: Callable[[str], Path]) -> Iterator[Load]:
    yield from load_by_case(golden("jina-reranker-v2"), JINA)


@pytest.fixture(scope="module")
def bge(golden: Callable[[str], Path]) -> Iterator[Load]:
    yield from load_by_case(golden("bge-reranker-v2-m3"), BGE)


@pytest.fixture(scope="module")
def jina_cases(golden_cases: Callable[[str], list[Case]]) -> dict[str, Case]:
    return {case["name"]: as_tokenised(case) for case in golden_cases("jina-reranker-v2")}


@pytest.fixture(scope="module")
def bge_cases(golden_cases: Callable[[str], list[Case]]) -> dict[str, Case]:
    return {case["name"]: prefixed(as_tokenised(case)) for case in golden_cases("bge-reranker-v2-m3")}


def test_jina_v2_gives_the_vendors_scores(jina: Load, jina_cases: dict[str, Case]) -> None:
    by_case, scores = differences(jina_cases, jina)
    assert {name: difference for name, difference in by_case.items() if not difference <= 2e-5} == {}
    assert (len(by_case), scores) == (65, 434)


def test_bge_gives_the_vendors_scores(bge: Load, bge_cases: dict[str, Case]) -> None:
    by_case, scores = differences(bge_cases, bge)
    assert {name: difference for name, difference in by_case.items() if not difference <= 1e-4} == {}
    assert (len(by_case), scores) == (34, 295)


def test_cases_without_scores_are_those_tested_below(jina_cases: dict[str, Case], bge_cases: dict[str, Case]) -> None:
    assert {name for name, case in jina_cases.items() if not case["scores"]} == {
        "empty-document/rerank",
        "both-empty/rerank",
        "whitespace/rerank",
        "assert/rerank",
        "no-documents/rerank",
        "no-documents/compute_score",
    }
    assert {name for name, case in bge_cases.items() if not case["scores"]} == {"no-documents"}


@pytest.mark.parametrize("name", ["empty-document", "both-empty", "whitespace"])
def test_a_document_without_tokens_is_scored_where_the_vendors_rerank_fails(
    jina: Load, jina_cases: dict[str, Case], name: str
) -> None:
    """A short document is one window, and so has the score that `compute_score` gives it."""
    assert jina_cases[f"{name}/rerank"]["error_type"] == "IndexError"
    expected = jina_cases[f"{name}/rerank"] | {"scores": jina_cases[f"{name}/compute_score"]["scores"]}
    difference, scores = largest_difference(jina(expected), expected)
    assert difference <= 2e-5
    assert scores == len(expected["documents"])


def test_no_documents_have_no_scores(
    jina: Load, bge: Load, jina_cases: dict[str, Case], bge_cases: dict[str, Case]
) -> None:
    for load, case in (
        (jina, jina_cases["no-documents/rerank"]),
        (jina, jina_cases["no-documents/compute_score"]),
        (bge, bge_cases["no-documents"]),
    ):
        assert load(case).score(case["query"], []) == []


@pytest.fixture(scope="module")
def jina_checkpoint(golden: Callable[[str], Path]) -> Checkpoint:
    return checkpoints.locate(str(golden("jina-reranker-v2")))


def test_jina_v2_is_recognised_by_its_files_alone(jina_checkpoint: Checkpoint) -> None:
    model = recognise(jina_checkpoint)
    assert model.name == JINA
    assert cross_encoder.resolve(jina_checkpoint, model.settings) == CrossEncoderSettings(
        max_length=1024, long_documents="window", overlap_tokens=80, activation="sigmoid"
    )


def test_windows_for_which_the_query_leaves_no_room_are_refused(jina_checkpoint: Checkpoint) -> None:
    """The vendor's code fails on an assertion; its limit for queries is 512 by default, here half of max_length."""
    settings = replace(recognise(jina_checkpoint).settings, max_length=512)
    cross_encoder.resolve(jina_checkpoint, settings)
    with pytest.raises(UserError) as refused:
        cross_encoder.resolve(jina_checkpoint, replace(settings, max_query_length=512))
    assert str(refused.value) == (
        "--max_query_length 512: with --max_length 512 and --long_documents window it must be from 4 to 256"
    )
