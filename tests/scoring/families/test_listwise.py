"""The listwise family: its rules as pure functions, the tiny model against a plain computation, the vendor's scores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import tiny_listwise
from tests.support.listwise import DOCUMENTS, QUERY, load, prepare
from tests.support.tiny import change, read
from tests.support.tiny_listwise import WIDTH, embeddings, prompt, scores
from tests.support.vendor import loader
from transforms.base.errors import UserError
from transforms.scoring import RankingTask
from transforms.scoring.families.listwise import Context, Prepared
from transforms.scoring.families.listwise_groups import groups_of, merge
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed.packing import Packed, pack
from transforms.scoring.packed.run_batches import Outputs
from transforms.scoring.packed.sequences import sequences_of
from transforms.scoring.results import Failure, Scores
from transforms.scoring.settings import ListwiseSettings as Settings

# --- Groups and their merging


@pytest.mark.parametrize(
    ("lengths", "room", "longest", "size", "expected"),
    [
        ([], 100, 10, 3, []),
        ([1, 1], 100, 10, 3, [range(0, 2)]),
        ([1, 1, 1], 100, 10, 3, [range(0, 3)]),
        ([1, 1, 1, 1], 100, 10, 3, [range(0, 3), range(3, 4)]),
        ([10, 10, 10], 40, 10, 9, [range(0, 3)]),  # closed when exactly the longest is left
        ([10, 10, 9, 1], 40, 10, 9, [range(0, 4)]),  # one more token left, one more document taken
        ([10, 10, 10, 10], 40, 10, 9, [range(0, 3), range(3, 4)]),
        ([1, 1, 1], 10, 10, 9, [range(0, 1), range(1, 2), range(2, 3)]),  # no room from the start
        ([1, 1], -5, 10, 9, [range(0, 1), range(1, 2)]),
    ],
)
def test_groups(lengths: list[int], room: int, longest: int, size: int, expected: list[range]) -> None:
    assert groups_of(np.array(lengths, dtype=np.int64), room, longest, size) == expected


def test_one_group_is_scored_by_its_own_query() -> None:
    rows = np.array([[3, 4], [4, -3], [-6, -8], [30, 40]], dtype=np.float32)
    assert merge([rows]) == pytest.approx([1, 0, -1], abs=1e-12)


def test_the_number_of_a_group_never_wraps(folder: Path) -> None:
    pairs = 40_000
    ledger = np.zeros((pairs, 5), dtype=np.int32)
    ledger[:, 3] = np.arange(pairs)
    contexts = [Context(0, [pair]) for pair in range(pairs)]
    prepared = Prepared(sequences_of([]), contexts, {}, ledger)
    family = load(folder).family
    rows, ends = np.ones((2 * pairs, 2), dtype=np.float32), 2 * np.arange(1, pairs + 1)
    scores = family.finish(prepared, Outputs(rows, ends, np.zeros(pairs, dtype=np.bool_)))
    assert scores.group is not None
    assert scores.group[[0, 32766, 32767, 32768, pairs - 1]].tolist() == [0, 32766, 32767, 32767, 32767]


def test_groups_are_scored_by_the_weighted_mean_of_their_queries() -> None:
    first = np.array([[0, 2], [1, 0]], dtype=np.float32)  # score 0: weight 0.5, times (1, 0)
    second = np.array([[5, 0], [0, -1], [0, 2]], dtype=np.float32)  # scores 0 and -1: weight 0.5, times (0, 2)
    # The mean is along (0.5, 1).
    expected = [1 / 1.25**0.5, 0.5 / 1.25**0.5, -1 / 1.25**0.5]
    assert merge([first, second]) == pytest.approx(expected, abs=1e-12)
    third = np.array([[0, 3], [0, 1]], dtype=np.float32)  # score 1: weight 1, times (0, 1)
    assert merge([first, third]) == pytest.approx([1 / 1.25**0.5, 1 / 1.25**0.5], abs=1e-12)


def test_an_embedding_without_length_has_no_score_and_spoils_no_other() -> None:
    rows = np.array([[0, 0], [1, 0], [2, 0]], dtype=np.float32)
    assert np.isnan(merge([rows, rows])).tolist() == [True, False, True, False]
    alone, of_zeros = np.array([[0, 0], [5, 0]], dtype=np.float32), np.array([[0, 7], [0, 0]], dtype=np.float32)
    assert merge([alone, np.array([[3, 4], [1, 0]], dtype=np.float32)])[1:] == pytest.approx([0.6], abs=1e-12)
    assert merge([of_zeros, np.array([[3, 4], [1, 0]], dtype=np.float32)]) == pytest.approx([0, 0.6], abs=1e-12)
    assert np.isnan(merge([alone, of_zeros])).all()


# --- Scores of the tiny model


def test_scores_are_those_of_a_plain_computation(folder: Path) -> None:
    got = load(folder).score_tasks(
        [RankingTask(QUERY, DOCUMENTS, "Be brief."), RankingTask("", ["a"]), RankingTask("x", [])]
    )
    instruction = "<instruct>\nBe brief.\n</instruct>\n"
    expected = [
        *scores(embeddings(folder, prompt(QUERY, DOCUMENTS, instruction))),
        *scores(embeddings(folder, prompt("", ["a"]))),
    ]
    assert got.score == pytest.approx(expected, abs=2e-5)
    assert got.failures == {}
    assert got.windows is None


def test_several_groups_are_those_of_a_plain_computation(folder: Path) -> None:
    got = load(folder, group_size=2).score(QUERY, DOCUMENTS)
    rows = [embeddings(folder, prompt(QUERY, DOCUMENTS[start : start + 2])) for start in (0, 2, 4)]
    weights = [(1 + max(scores(group))) / 2 for group in rows]
    query = np.average([group[-1] for group in rows], axis=0, weights=weights)
    assert got == pytest.approx([score for group in rows for score in scores(group, query)], abs=2e-5)


def test_scores_do_not_depend_on_what_shares_the_pass(folder: Path) -> None:
    tasks = [RankingTask(f"query {n}", [f"document {n} {m}" * (1 + n * m % 4) for m in range(1 + n)]) for n in range(8)]
    reranker = load(folder, batch_tokens=100_000)
    together = reranker.score_tasks(tasks)
    assert together.counts["forward_passes"] == 1
    alone = [reranker.score_tasks([task]).score for task in tasks]
    assert together.score == pytest.approx(np.concatenate(alone), abs=1e-5)
    one_at_a_time = load(folder, batch_tokens=1).score_tasks(tasks)  # each is larger than the budget, and runs alone
    assert one_at_a_time.counts["forward_passes"] == 8
    assert together.score == pytest.approx(one_at_a_time.score, abs=1e-5)


def test_order_matters(folder: Path) -> None:
    forth, back = load(folder).score_lists([(QUERY, DOCUMENTS), (QUERY, DOCUMENTS[::-1])])
    assert back == pytest.approx(scores(embeddings(folder, prompt(QUERY, DOCUMENTS[::-1]))), abs=2e-5)
    assert max(abs(a - b) for a, b in zip(forth, back[::-1], strict=True)) > 1e-3


def test_names_without_their_prefix_are_read_too(folder: Path, tmp_path: Path) -> None:
    bare = tiny_listwise.checkpoint(tmp_path / "bare", prefix="")
    assert load(bare).score(QUERY, DOCUMENTS) == load(folder).score(QUERY, DOCUMENTS)


def test_the_head_is_in_float32(folder: Path) -> None:
    reranker = load(folder, dtype="bfloat16")
    prepared = prepare(folder, RankingTask(QUERY, DOCUMENTS))
    rows = reranker.family.forward(pack(prepared.sequences, torch.device("cpu")))
    assert rows.shape == (len(DOCUMENTS) + 1, WIDTH)
    assert rows.dtype == torch.float32
    assert not torch.equal(rows, rows.bfloat16().float())


# --- What cannot be scored


def test_a_document_that_cannot_be_tokenised_is_left_out(folder: Path) -> None:
    got = load(folder).score_tasks([RankingTask(QUERY, ["a cab", "\ud800", "12"]), RankingTask(QUERY, ["\ud800"])])
    assert {pair: failure.reason for pair, failure in got.failures.items()} == {
        1: "tokenizer_error",
        3: "tokenizer_error",
    }
    assert np.isnan(got.score[[1, 3]]).all()
    assert got.score[[0, 2]] == pytest.approx(scores(embeddings(folder, prompt(QUERY, ["a cab", "12"]))), abs=2e-5)
    assert got.position is not None
    assert got.position[[0, 2]].tolist() == [0, 1]


@pytest.mark.parametrize(("query", "instruction"), [("\ud800", None), (QUERY, "\ud800")])
def test_a_query_that_cannot_be_tokenised_fails_its_list(folder: Path, query: str, instruction: str | None) -> None:
    got = load(folder, group_size=2).score_tasks(
        [RankingTask(query, DOCUMENTS[:3], instruction), RankingTask(QUERY, DOCUMENTS)]
    )
    assert {pair: failure.reason for pair, failure in got.failures.items()} == dict.fromkeys(
        range(3), "tokenizer_error"
    )
    assert got.score[3:].tolist() == load(folder, group_size=2).score(QUERY, DOCUMENTS)


@pytest.fixture
def spoiled(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[torch.Tensor], torch.Tensor]], Scores]:
    """`spoiled(spoil)` scores three groups, where `spoil` is done to the embeddings of the second, which is longer."""
    reranker = load(folder, group_size=2, batch_tokens=1)
    forward = reranker.family.forward

    def score(spoil: Callable[[torch.Tensor], torch.Tensor]) -> Scores:
        def partly(packed: Packed) -> torch.Tensor:
            return spoil(forward(packed)) if len(packed.ids) > 2000 else forward(packed)

        monkeypatch.setattr(reranker.family, "forward", partly)
        return reranker.score_tasks([RankingTask(QUERY, [*DOCUMENTS[:2], "long" * 400, "long" * 200, DOCUMENTS[4]])])

    return score


def test_a_group_that_does_not_fit_into_memory_fails_alone(
    folder: Path, spoiled: Callable[[Callable[[torch.Tensor], torch.Tensor]], Scores]
) -> None:
    def exhaust(rows: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError

    got = spoiled(exhaust)
    detail = "its group of 2 documents does not fit into memory alone"
    assert got.failures == dict.fromkeys((2, 3), Failure("out_of_memory", detail))
    assert np.isnan(got.score[[2, 3]]).all()
    others = load(folder, group_size=2).score(QUERY, [*DOCUMENTS[:2], DOCUMENTS[4]])
    assert got.score[[0, 1, 4]] == pytest.approx(others, abs=1e-6)


@pytest.mark.parametrize("row", [0, 2])
def test_a_group_whose_embeddings_are_not_finite_fails_alone(
    folder: Path, spoiled: Callable[[Callable[[torch.Tensor], torch.Tensor]], Scores], row: int
) -> None:
    def break_one(rows: torch.Tensor) -> torch.Tensor:
        return rows.index_fill(0, torch.tensor(row), torch.inf)

    got = spoiled(break_one)
    assert {pair: failure.reason for pair, failure in got.failures.items()} == {2: "nan_score", 3: "nan_score"}
    others = load(folder, group_size=2).score(QUERY, [*DOCUMENTS[:2], DOCUMENTS[4]])
    assert got.score[[0, 1, 4]] == pytest.approx(others, abs=1e-6)


# --- What cannot be loaded


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_length": 15}, "--max_length 15: with {} it must be from 16 to 32768"),
        ({"max_length": 32_769}, "--max_length 32769: with {} it must be from 16 to 32768"),
        ({"max_doc_length": 30_001}, "--max_doc_length 30001: with {} it must be from 1 to 30000"),
        ({"max_length": 100}, "--max_doc_length 2048: with {} it must be from 1 to 100"),
        ({"max_query_length": 0}, "--max_query_length 0: with {} it must be from 1 to 30000"),
        ({"group_size": 0}, "--group_size 0: with {} it must be from 1 to 32767"),
        ({"special_tokens": "remove"}, "--special_tokens remove: give vendor or escape"),
        ({"long_documents": "window"}, "--long_documents: does not apply to jinaai/jina-reranker-v3"),
    ],
)
def test_options_are_checked(folder: Path, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError) as caught:
        load(folder, **options)
    assert str(caught.value).startswith(problem.format(folder))


def test_lengths_are_the_checkpoints_unless_given(folder: Path) -> None:
    expected = Settings(30_000, 2048, 512, 64, None, "vendor")
    assert load(folder).specification.settings == expected
    assert load(folder, max_length=32_768).specification.settings.max_length == 32_768


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"projector.0.weight": None}, "(projector.0.weight missing, projector.2.weight [6, 12])"),
        ({"projector.2.weight": None}, "(projector.0.weight [12, 16], projector.2.weight missing)"),
        ({"projector.0.weight": torch.zeros(12, 15)}, "(projector.0.weight [12, 15], projector.2.weight [6, 12])"),
        ({"projector.2.weight": torch.zeros(6, 13)}, "(projector.0.weight [12, 16], projector.2.weight [6, 13])"),
        ({"projector.2.weight": torch.zeros(6)}, "(projector.0.weight [12, 16], projector.2.weight [6])"),
    ],
)
def test_the_projector_must_fit(tmp_path: Path, tensors: dict[str, torch.Tensor | None], problem: str) -> None:
    folder = tiny_listwise.checkpoint(tmp_path / "listwise")
    changed = load_file(folder / "model.safetensors") | tensors
    save_file({key: tensor for key, tensor in changed.items() if tensor is not None}, folder / "model.safetensors")
    with pytest.raises(UserError) as caught:
        load(folder)
    assert str(caught.value) == (
        f"model {folder}: its weights hold no projector for hidden size 16 {problem}; "
        "the checkpoint is incomplete or of another kind"
    )


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"layer_types": ["full_attention", "sliding_attention"]}, "no sliding_window above 0"),
        (
            {"use_sliding_window": True, "sliding_window": 128, "max_window_layers": 1, "layer_types": None},
            r"has layers with sliding_attention, as jina-reranker-v3\.5 has; check --model_like",
        ),
        ({"model_type": "qwen2"}, "model_type 'qwen2'"),
    ],
)
def test_models_of_another_kind_are_refused(tmp_path: Path, fields: dict[str, Any], problem: str) -> None:
    folder = tiny_listwise.checkpoint(tmp_path / "listwise", **fields)
    with pytest.raises(UserError, match=problem):
        load(folder)


@pytest.mark.parametrize("token", ["<|embed_token|>", "<|rerank_token|>"])
def test_the_tokenizer_must_have_the_tokens(tmp_path: Path, token: str) -> None:
    folder = tiny_listwise.checkpoint(tmp_path / "listwise")
    added = read(folder / "tokenizer.json")["added_tokens"]
    change(folder / "tokenizer.json", added_tokens=[entry for entry in added if entry["content"] != token])
    with pytest.raises(UserError, match=f"its tokenizer has no token {token.replace('|', '.')}; use the model's own"):
        load(folder)


# --- Memory

PEAK = """
import resource, sys
from transforms.scoring import Reranker
reranker = Reranker.load(sys.argv[1], device="cpu", dtype="float32", max_doc_length=8000)
reranker.score("warm", ["up"])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
reranker.score("q", ["z" * 7000])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_attention_builds_no_square_of_the_length(folder: Path) -> None:
    # One head's products of 8,000 tokens would be 256 MB.
    done = subprocess.run([sys.executable, "-c", PEAK, str(folder)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100e6


# How the golden cases call what we call otherwise.
OPTIONS = {
    "max_doc_length": "max_doc_length",
    "max_query_length": "max_query_length",
    "tokenizer_model_max_length": "max_length",
}


def test_scores_are_the_vendors(
    golden: Callable[[str], Path],
    golden_cases: Callable[[str], list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rerankers = loader(golden("jina-reranker-v3"), "jinaai/jina-reranker-v3", monkeypatch)
    wrong: list[str] = []
    compared = 0
    for case in golden_cases("jina-reranker-v3"):
        options = case["options"]
        reranker = rerankers(
            {"group_size": 125} | {OPTIONS[name]: options[name] for name in options if name in OPTIONS}
        )
        got = reranker.score_tasks([RankingTask(case["query"], case["documents"], options.get("instruction"))])
        # So it is too where the vendor's code fails, on a nested token say.
        assert got.failures == {}
        if case["scores"] is None:
            continue
        assert got.group is not None
        groups = np.bincount(got.group).tolist()
        if groups != case.get("block_sizes", groups):
            wrong.append(f"{case['name']}: groups of {groups}")
        for place, (ours, theirs) in enumerate(zip(got.score, case["scores"], strict=True)):
            compared += theirs is not None
            if theirs is not None and not abs(ours - theirs) <= 2e-5:
                wrong.append(f"{case['name']}[{place}]: {ours}, the vendor's {theirs}")
    assert wrong == []
    assert compared == 1279


def test_embeddings_are_the_vendors(
    golden: Callable[[str], Path], golden_cases: Callable[[str], list[dict[str, Any]]]
) -> None:
    [case] = [case for case in golden_cases("jina-reranker-v3") if "embeddings" in case]
    reranker = load(golden("jina-reranker-v3"))
    # A directory tells what it is, and the settings are the vendor's.
    assert reranker.specification.model.name == "jinaai/jina-reranker-v3"
    assert reranker.specification.settings == Settings(131_072, 2048, 512, 64, None, "vendor")
    task = RankingTask(case["query"], case["documents"])
    prepared = reranker.family.prepare([task], Tokens(reranker.family.tokenizer))
    rows = reranker.family.forward(pack(prepared.sequences, torch.device("cpu")))
    assert rows[:-1].numpy() == pytest.approx(np.array(case["embeddings"]), abs=2e-5)
