from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.support import tiny
from transforms.base.errors import UserError
from transforms.scoring import RankingTask, Reranker
from transforms.scoring import reranker as reranker_module
from transforms.scoring.catalogue import UNLISTED
from transforms.scoring.families import cross_encoder
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed import best_batch
from transforms.scoring.packed.execution import Execution, Placement
from transforms.scoring.packed.sequences import Sequences
from transforms.scoring.reranker import Specification, chunks_of, specify
from transforms.scoring.scorer import no_progress
from transforms.scoring.tokenising import apart
from transforms.scoring.weights.checkpoints import Checkpoint

DATA = Path(__file__).parents[1] / "data"
CAPITALS = [
    "Paris is the capital of France.",
    "Berlin is the capital of Germany.",
    "Bananas are rich in potassium and grow in tropical climates.",
]


@pytest.fixture(scope="module")
def small() -> Reranker:
    return Reranker.load("small-cross-encoder", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Reranker:
    return Reranker.load(str(tiny.bert(tmp_path_factory.mktemp("bert"))), device="cpu", dtype="float32")


def pairs_of(file: str, queries: int, documents: int) -> list[tuple[str, str]]:
    rows = pq.read_table(DATA / file).slice(0, queries).to_pylist()
    return [(row["query"], doc["text"]) for row in rows for doc in row["candidates"][:documents]]


def test_on_a_cpu_no_batch_size_is_measured() -> None:
    def tasks() -> Iterator[RankingTask]:
        raise AssertionError("a task was read")
        yield

    on_cpu = specify("small-cross-encoder", device="cpu")
    assert on_cpu.with_best_batch(tasks(), keep=True) is on_cpu


@pytest.mark.parametrize("keep", [True, False])
def test_the_model_that_was_measured_is_loaded_once_where_it_is_kept(
    keep: bool, tiny_bert: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Execution, "begin", lambda execution: Placement(torch.device("cpu"), torch.float32))
    load, loads, measured = cross_encoder.load, list[Placement](), list[Sequences]()

    def counted(checkpoint: Checkpoint, settings: Any, placement: Placement) -> Any:
        loads.append(placement)
        return load(checkpoint, settings, placement)

    def best_budget(sequences: Sequences, *_: object) -> int:
        measured.append(sequences)
        return 16_384

    monkeypatch.setattr(cross_encoder, "load", counted)
    monkeypatch.setattr(best_batch, "best_budget", best_budget)
    execution = replace(tiny_bert.specification.execution, device="cuda:1", batch_tokens=65_536)
    on_gpu = replace(tiny_bert.specification, execution=execution)
    best = on_gpu.with_best_batch(iter([RankingTask("a", ["b c", "d"])]), keep=keep)
    assert best == replace(on_gpu, execution=replace(execution, batch_tokens=16_384))
    assert [one.lengths.tolist() for one in measured] == [[6, 5]], "of the input's own tasks"
    assert pickle.loads(pickle.dumps(best)).load().specification == best
    assert len(loads) == (1 if keep else 2)
    assert best.load().specification == best, "a second one is a model of its own"
    assert len(loads) == (2 if keep else 3)


def test_the_embedded_model_gives_the_scores_of_its_readme(small: Reranker) -> None:
    scores = small.score("what is the capital of France?", CAPITALS)
    assert scores == pytest.approx([8.73695, 0.85471, -11.45503], abs=1e-5)


@pytest.mark.parametrize(("dtype", "share"), [("float32", None), ("bfloat16", 0.01)])
def test_a_score_does_not_depend_on_what_else_was_in_the_batch(dtype: str, share: float | None) -> None:
    """In float32 within 1e-5, in bfloat16 within a hundredth of the scores' range."""
    reranker = Reranker.load("small-cross-encoder", device="cpu", dtype=dtype, max_length=128)
    pairs = pairs_of("xquadr_11x30.parquet", 11, 2) + pairs_of("scifact_10x30.parquet", 2, 2)

    def scores(order: np.ndarray, batch_tokens: int) -> np.ndarray:
        execution = replace(reranker.specification.execution, batch_tokens=batch_tokens)
        reranker.specification = replace(reranker.specification, execution=execution)
        result = np.empty(len(pairs))
        result[order] = np.concatenate(reranker.score_lists([(pairs[i][0], [pairs[i][1]]) for i in order]))
        return result

    alone = scores(np.arange(len(pairs)), 1)
    tolerance = 1e-5 if share is None else share * np.ptp(alone)
    assert np.ptp(alone) > 10
    for seed, batch_tokens in enumerate((1, 64, 8192, 8192)):
        order = np.random.default_rng(seed).permutation(len(pairs))
        assert np.abs(scores(order, batch_tokens) - alone).max() <= tolerance


def test_lists_keep_their_order_and_their_query(tiny_bert: Reranker) -> None:
    lists: list[tuple[str, list[str]]] = [("a", ["b", "c d"]), ("e", []), ("f", ["c d"]), ("a", ["b"])]
    scores = tiny_bert.score_lists(lists)
    assert [len(part) for part in scores] == [2, 0, 1, 1]
    expected = [tiny_bert.score(*task) for task in lists]
    assert [pytest.approx(part, abs=1e-5) for part in expected] == scores
    assert tiny_bert.score_lists([RankingTask(*task) for task in lists]) == scores
    assert scores[0][1] != pytest.approx(scores[2][0], abs=1e-3)


def test_nothing_to_score(tiny_bert: Reranker) -> None:
    assert tiny_bert.score_lists([]) == []
    assert tiny_bert.score("a", []) == []
    assert tiny_bert.score_lists([("a", []), ("b", [])]) == [[], []]
    assert tiny_bert.score_tasks([]).score.tolist() == []


def test_empty_texts_are_scored(tiny_bert: Reranker) -> None:
    scores = tiny_bert.score_lists([("", ["", "a"]), ("a", [""])])
    assert np.isfinite(np.concatenate(scores)).all()
    assert len(set(np.concatenate(scores))) == 3


def test_more_tasks_than_a_chunk_holds_score_the_same(tiny_bert: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [RankingTask(letter, ["b", "c d e", "f"]) for letter in "aghijk"]
    whole = tiny_bert.score_tasks(tasks)
    monkeypatch.setattr(reranker_module, "CHUNK_PAIRS", 4)
    seen: list[tuple[float, int]] = []
    parts = tiny_bert.score_tasks(tasks, lambda pairs, tokens: seen.append((pairs, tokens)))
    np.testing.assert_allclose(parts.score, whole.score, atol=1e-5)
    assert whole.counts["forward_passes"] == 1
    assert parts.counts["forward_passes"] == 6
    assert parts.counts["forward_tokens"] == whole.counts["forward_tokens"] == 6 * (5 + 7 + 5)
    assert seen == [(3, 17)] * 6
    assert set(parts.seconds) == {"tokenise", "forward"}


@pytest.mark.parametrize(
    ("sizes", "pairs", "chunks"),
    [
        ([], 4, []),
        ([1], 4, [[1]]),
        ([2, 2, 1], 4, [[2, 2], [1]]),
        ([3, 2, 2], 4, [[3], [2, 2]]),
        ([9, 1, 9], 4, [[9], [1], [9]]),
        ([0, 0, 4, 0, 1], 4, [[0, 0, 4, 0], [1]]),
    ],
)
def test_chunks_of(sizes: list[int], pairs: int, chunks: list[list[int]]) -> None:
    tasks = [RankingTask("q", ["d"] * size) for size in sizes]
    assert [[len(task.documents) for task in chunk] for chunk in chunks_of(tasks, pairs)] == chunks


def test_fingerprint_is_the_same_for_the_same_model_and_settings(tmp_path: Path) -> None:
    first, second = tiny.bert(tmp_path / "first"), tiny.bert(tmp_path / "second")

    def fingerprint(folder: Path, **options: Any) -> dict[str, Any]:
        specification = specify(str(folder), options=options)
        assert isinstance(specification, Specification)
        return specification.fingerprint()

    assert fingerprint(first) == fingerprint(second) == fingerprint(first, max_length=32)
    assert fingerprint(first) != fingerprint(first, max_length=31)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": {"group_size": 3}}, "--group_size: does not apply to small-cross-encoder, a cross-encoder"),
        ({"options": {"long_documents": "windows"}}, "--long_documents windows: give truncate or window"),
        ({"options": {"activation": "softmax"}}, "--activation softmax: give sigmoid or none"),
        ({"options": {"max_length": 513}}, "--max_length 513: small-cross-encoder takes 16 to 512 tokens"),
        ({"like": "jina"}, "--model_like jina: not in the catalogue, which has small-cross-encoder, "),
        ({"dtype": "int4"}, "--dtype int4: give auto, float32, bfloat16, float16"),
    ],
)
def test_mistakes_are_reported_before_anything_is_loaded(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as refused:
        specify("small-cross-encoder", **arguments)
    assert str(refused.value).startswith(message)


def test_where_to_run_is_checked_before_a_model_is_fetched() -> None:
    with pytest.raises(UserError, match="--device tpu: give auto, cpu, cuda or cuda:N"):
        specify("nobody/nothing", device="tpu")


@pytest.mark.parametrize(("device", "gpus"), [("cuda", 4), ("cuda:2", 0), ("cpu", 0)])
def test_workers_share_out_all_gpus_where_none_was_chosen(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: int
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    on_cpu = specify("small-cross-encoder")
    assert isinstance(on_cpu, Specification)
    assert replace(on_cpu, execution=replace(on_cpu.execution, device=device)).gpus() == gpus


def test_a_model_listed_without_its_size_is_counted() -> None:
    specification = specify("small-cross-encoder")
    assert isinstance(specification, Specification)
    assert specification.parameters() == 0.019
    counted = replace(specification, model=UNLISTED).parameters()
    assert round(counted, 3) == 0.019
    assert counted != 0.019


@pytest.mark.parametrize(("device", "processes"), [("cpu", 0), ("cuda", 4)])
def test_beside_a_gpu_much_work_is_tokenised_in_processes(
    device: str, processes: int, tiny_bert: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tiny_bert._tokeniser
    started: list[int] = []

    class Started:
        def __init__(self, backend: Any, processes: int) -> None:
            started.append(processes)

        def encode(self, texts: Sequence[str]) -> Any:
            return here.encode(texts)

    monkeypatch.setattr(apart, "Apart", Started)
    monkeypatch.setenv("RAYON_NUM_THREADS", "16")
    monkeypatch.setattr(tiny_bert, "_tokeniser", here)
    execution = replace(tiny_bert.specification.execution, device=device)
    monkeypatch.setattr(tiny_bert, "specification", replace(tiny_bert.specification, execution=execution))
    wanted = tiny_bert.score("a b", ["c", "d e"])
    tiny_bert.expect_much()
    assert started == [processes] * bool(processes)
    assert isinstance(tiny_bert._tokeniser, Started) == bool(processes)
    assert tiny_bert.score("a b", ["c", "d e"]) == wanted


def test_what_is_begun_is_tokenised_before_its_scores_are_asked_for(
    tiny_bert: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared, prepare = threading.Event(), tiny_bert.family.prepare

    def noticed(tasks: Sequence[RankingTask], tokens: Tokens) -> Any:
        made = prepare(tasks, tokens)
        prepared.set()
        return made

    monkeypatch.setattr(tiny_bert.family, "prepare", noticed)
    tasks = [RankingTask("a b", ["c", "d e"]), RankingTask("f", ["g"])]
    score = tiny_bert.begin(tasks)
    assert prepared.wait(60)
    assert score(no_progress).score.tolist() == tiny_bert.score_tasks(tasks).score.tolist()
