"""`python -m eval throughput`: what it measures, not how fast that is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from eval.__main__ import main
from eval.throughput import arms, least_time, random_models, rounds, sizes
from eval.throughput.arms import ArmResult
from eval.throughput.options import SAMPLE
from eval.throughput.sizes import Sizes, _qwen, _xlm_roberta
from eval.throughput.tasks import read, resized, take
from transforms.base.errors import UserError
from transforms.scoring import RankingTask, Reranker
from transforms.scoring.packed import attention

TASKS = [RankingTask("what is a thing", ["a thing is " * words for words in range(1, 40)])]
SMALL_QWEN: dict[str, Any] = {**_qwen("qwen3", 2, 32, 2, 1, 64, head_dim=16), "max_position_embeddings": 131_072}
SMALL = {
    "xlm-roberta": Sizes(_xlm_roberta(2, 32, 2, 66), "classifier", "float32"),
    "yes/no": Sizes(SMALL_QWEN, "causal", "bfloat16", "Qwen/Qwen3-Reranker-0.6B"),
    "listwise": Sizes(
        SMALL_QWEN,
        "causal",
        "bfloat16",
        "jinaai/jina-reranker-v3",
        {"projector.0.weight": (16, 32), "projector.2.weight": (16, 16)},
    ),
}
A, B = RankingTask("a", ["a1", "a2", "a3"]), RankingTask("b", ["b1"])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "SIZES", SMALL)


def made(name: str, folder: Path) -> Reranker:
    like = random_models.make(name, folder).like
    return Reranker.load(str(folder), like=like, device="cpu", dtype="float32")


@pytest.mark.parametrize(
    ("pairs", "taken"),
    [
        (2, [("a", ["a1", "a2"])]),
        (4, [("a", ["a1", "a2", "a3"]), ("b", ["b1"])]),
        (6, [("a", ["a1", "a2", "a3"]), ("b", ["b1"]), ("1 a", ["1 a1", "1 a2"])]),
    ],
)
def test_take(pairs: int, taken: list[tuple[str, list[str]]]) -> None:
    assert [(task.query, list(task.documents)) for task in take([A, B], pairs)] == taken


@pytest.mark.parametrize(
    ("size", "lists"), [(1, [["a1"], ["b1"]]), (3, [["a1", "a2", "a3"], ["b1", "a1", "a2"]]), (5, None)]
)
def test_resized(size: int, lists: list[list[str]] | None) -> None:
    expected = lists or [["a1", "a2", "a3", "b1", "a1"], ["b1", "a1", "a2", "a3", "b1"]]
    assert [list(task.documents) for task in resized([A, B], size)] == expected


def test_read_joins_titles_and_leaves_out_empty_lists(tmp_path: Path) -> None:
    rows = [
        {"query": "q", "candidates": [{"title": "t", "text": "x"}, {"title": None, "text": "y"}]},
        {"query": "none", "candidates": []},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet")
    assert read(str(tmp_path / "c.parquet"), None) == [RankingTask("q", ["t x", "y"])]


@pytest.mark.usefixtures("small")
def test_sentence_transformers_reads_the_same_tokens_with_padding(tmp_path: Path) -> None:
    reranker = made("xlm-roberta", tmp_path)
    assert arms.core(reranker)(TASKS) == ArmResult(1983, 1984)  # longest 64, of which 4 are special
    peer = arms.sentence_transformers(tmp_path, "cpu", torch.float32)
    assert peer is not None
    assert peer(32)(TASKS) == ArmResult(1983, 2244)
    assert peer(128)(TASKS) == ArmResult(1983, 39 * 64)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("name", "computed"), [("yes/no", 6699), ("listwise", 2984)])
def test_plain_forward_reads_the_same_tokens(name: str, computed: int, tmp_path: Path) -> None:
    reranker = made(name, tmp_path)
    if name == "yes/no":
        peer = arms.padded_language_model(tmp_path, reranker, torch.float32)(32)
    else:
        peer = arms.one_query_at_a_time(tmp_path, reranker, torch.float32)
    assert peer(TASKS) == ArmResult(arms.core(reranker)(TASKS).tokens, computed)


@pytest.mark.usefixtures("small")
def test_least_time_counts_what_runs_on_every_token(tmp_path: Path) -> None:
    encoder = made("xlm-roberta", tmp_path / "encoder").family.backbone.model  # type: ignore[attr-defined]
    assert least_time.linear_shapes(encoder) == Counter({(32, 32): 3 + 3 + 1, (128, 32): 1, (32, 128): 1})
    decoder = made("yes/no", tmp_path / "decoder").family.backbone.model  # type: ignore[attr-defined]
    # Of the last layer query, key and value; of the first all: o_proj is (32, 32) like q_proj.
    assert least_time.linear_shapes(decoder) == Counter({(32, 32): 3, (16, 32): 4, (64, 32): 2, (32, 64): 1})


def test_least_time_takes_the_faster_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []

    def least(work: Callable[[], torch.Tensor], device: torch.device) -> float:
        shapes.append(tuple(work().shape))
        return (0.5, 0.25)[len(shapes) - 1]

    monkeypatch.setattr(least_time, "least", least)
    monkeypatch.setitem(attention.KERNELS, "another", attention.KERNELS["sdpa"])
    rate = least_time._attention_rate(16, 40, 2, 8, torch.zeros(1), False, "another")
    assert shapes == [(2, 2, 16, 8), (32, 2, 8)]
    assert rate == 4 * 2 * 16 * 16 * 2 * 8 / 0.25


def test_least_time_adds_products_and_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    reranker = Reranker.load("small-cross-encoder", device="cpu", dtype="float32")
    batches = reranker.batches([RankingTask("a", ["b"] * 3)])
    assert [len(batch.ids) for batch in batches] == [15]
    monkeypatch.setattr(least_time, "_product", lambda shape, rows, like: rows * shape[0] * shape[1] * 1e-9)
    monkeypatch.setattr(least_time, "_attention_rate", lambda *_: 1e9)
    # A family need not have a backbone by its protocol; a cross-encoder has one.
    model: Any = reranker.family
    figures = least_time.measure(model.backbone.model, batches, causal=False, kernel="sdpa")
    weights = 3 * (4 * 384 * 384 + 2 * 384 * 1536) + 3 * 384 * 384
    assert figures.matrix_rate == pytest.approx(2e9)
    assert figures.seconds == pytest.approx(15 * weights * 1e-9 + 4 * 3 * 5 * 5 * 384 * 4 / 1e9)


def test_rounds_take_turns_and_compare_within_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(np.cumsum([0, 2, 0, 9, 0, 6, 0, 1, 0, 9, 0, 8]).tolist())
    monkeypatch.setattr(rounds, "time", SimpleNamespace(perf_counter=lambda: next(clock)))  # no other thread's
    order: list[str] = []
    rates = iter([1e9, 2e9, 3e9])

    def arm(name: str, computed: int) -> arms.Arm:
        def run(tasks: Any) -> ArmResult:
            order.append(name)
            return ArmResult(100, computed)

        return run

    def ceiling(tasks: Any) -> ArmResult:
        order.append("ceiling")
        return ArmResult(100, 100, 0.5, {"matrix": next(rates)})

    chosen = {"core": arm("core", 100), "ceiling": ceiling, "peer": arm("peer", 125)}
    rows = rounds.rounds(chosen, [A, B], 2, torch.device("cpu"))
    assert order == ["core", "ceiling", "peer"] * 3  # one to warm up
    assert (rows["ceiling"]["core_is_faster"], rows["ceiling"]["peak_memory"]) == ((0.5 / 2 + 0.5 / 1) / 2, None)
    assert rounds.rate_of(rows["ceiling"]["rates"], "matrix") == "2 to 3"
    assert rows["core"]["seconds"] == [2, 1]
    assert rows["peer"]["seconds"] == [6, 8]
    assert rows["peer"]["core_is_faster"] == (6 / 2 + 8 / 1) / 2
    assert (rows["core"]["pairs_per_second"], rows["core"]["tokens_per_second"]) == (4 / 1.5, 100 / 1.5)
    assert (rows["core"]["padding_share"], rows["peer"]["padding_share"]) == (0, pytest.approx(0.2))


def test_the_embedded_model_and_the_whole_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    options = ["--pairs", "12", "--repeats", "1", "--device", "cpu", "--dtype", "float32", "--price_per_hour", "3.6"]
    command = ["throughput", "--model", "small-cross-encoder", *options, "--json", str(path)]
    assert main([*command, "--without", "sentence-transformers"]) == 0
    figures = json.loads(path.read_text())
    assert list(figures["arms"]) == ["core", "ceiling", "whole job"]
    assert figures["arms"]["core"]["tokens"] == figures["arms"]["whole job"]["tokens"] == 1254
    assert figures["arms"]["core"]["pairs"] == 12
    assert figures["arms"]["core"]["cost_per_1000"] == pytest.approx(1 / figures["arms"]["core"]["pairs_per_second"])
    assert figures["execution"]["attention"] == "sdpa"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "small-cross-encoder: 12 pairs in 1 list, 104 tokens a pair; float32, sdpa, 8,192 tokens"
    )
    assert [line.split("  ")[0] for line in lines[4:7]] == ["core", "ceiling", "whole job"]
    share = figures["arms"]["ceiling"]["seconds"][0] / figures["arms"]["core"]["seconds"][0]
    assert figures["arms"]["ceiling"]["core_is_faster"] == pytest.approx(share)
    assert f"the core reaches {share:.0%} of the ceiling, which is made of" in lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nobody/x"], "--model nobody/x: give the directory of a checkpoint, an embedded model, or "),
        (
            ["--model", "Qwen/Qwen3-Reranker-4B", "--device", "cpu"],
            "4.0B parameters on a CPU; say --large to wait for it",
        ),
        (
            ["--model", "small-cross-encoder", "--pairs", "0"],
            "argument --pairs: '0' is not a positive whole number; see",
        ),
        (
            ["--model", "small-cross-encoder", "--price_per_hour", "nan"],
            "argument --price_per_hour: 'nan' is not a price; see",
        ),
        (
            ["--model", "small-cross-encoder", "--without", "x"],
            "argument --without: invalid choice: 'x' (choose from 'sentence-transformers', ",
        ),
        (["--model", "small-cross-encoder", "--candidates", "no.parquet"], "--candidates no.parquet: "),
        (
            ["--model", "small-cross-encoder", "--candidates", str(SAMPLE), "--json", str(SAMPLE)],
            "is a file that is read",
        ),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", *arguments]) == 2
    assert message in capsys.readouterr().err


TEXT = pa.list_(pa.struct([("text", pa.string())]))


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"query": ["q"]}),
        pa.table({"query": ["q"], "candidates": ["text"]}),
        pa.table({"query": [1], "candidates": pa.array([[{"text": "x"}]], TEXT)}),
        pa.table({"query": ["q"], "candidates": [[{"text": 1}]]}),
        pa.table({"query": ["q"], "candidates": [[{"title": "x"}]]}),
        pa.table({"query": ["q"], "candidates": [[{"title": 1, "text": "x"}]]}),
    ],
)
def test_candidates_of_another_form(table: pa.Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.parquet"
    pq.write_table(table, path)
    assert main(["throughput", "--model", "small-cross-encoder", "--candidates", str(path)]) == 2
    assert capsys.readouterr().err == (
        f"error: --candidates {path}: no columns query (string) and candidates (lists of structs with a string text); "
        "give nested candidate lists\n"
    )


def test_candidates_without_a_text_are_left_out(tmp_path: Path) -> None:
    lists = pa.array([[{"text": None}, None, {"text": "x"}], None, [None]], TEXT)
    pq.write_table(pa.table({"query": ["q", "r", "s"], "candidates": lists}), tmp_path / "c.parquet")
    assert read(str(tmp_path / "c.parquet"), None) == [RankingTask("q", ["x"])]


def test_unknown_sizes_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^--model nobody/x: give the directory of a checkpoint"):
        random_models.make("nobody/x", tmp_path)
