from __future__ import annotations

import pytest

from eval.published.scores import (
    BENCHMARKS,
    ROWS,
    SIZES,
    SOURCES,
    TABLE,
    Average,
    average,
    notes,
    published,
    published_averages,
    published_row,
)
from transforms.retrieval.datasets import DATASETS
from transforms.scoring import catalogue

V2, V3, M0 = "jinaai/jina-reranker-v2-base-multilingual", "jinaai/jina-reranker-v3", "jinaai/jina-reranker-m0"
EMBEDDINGS = "jinaai/jina-embeddings-v3"
FIRST_STAGES_BESIDE_THE_CATALOGUE = {"bm25", "sentence-transformers/all-MiniLM-L6-v2"}

# Means of the printed cells, to two places.
RECOMPUTED = {
    ("beir", EMBEDDINGS): 55.81,
    ("beir", V3): 61.85,
    ("beir", V2): 57.06,
    ("beir", M0): 58.95,
    ("beir", "BAAI/bge-reranker-v2-m3"): 56.51,
    ("beir", "mixedbread-ai/mxbai-rerank-base-v2"): 58.40,
    ("beir", "mixedbread-ai/mxbai-rerank-large-v2"): 61.44,
    ("beir", "Qwen/Qwen3-Reranker-0.6B"): 56.28,
    ("beir", "Qwen/Qwen3-Reranker-4B"): 61.16,
    ("miracl", EMBEDDINGS): 58.90,
    ("miracl", V3): 66.83,
    ("miracl", V2): 63.65,
    ("miracl", M0): 66.31,
    ("miracl", "BAAI/bge-reranker-v2-m3"): 69.32,
    ("miracl", "mixedbread-ai/mxbai-rerank-base-v2"): 55.32,
    ("miracl", "mixedbread-ai/mxbai-rerank-large-v2"): 57.94,
    ("miracl", "Qwen/Qwen3-Reranker-0.6B"): 56.16,
    ("miracl", "Qwen/Qwen3-Reranker-4B"): 67.52,
}
INCONSISTENT = {("miracl", M0): 66.75, ("miracl", "Qwen/Qwen3-Reranker-0.6B"): 57.70}


@pytest.mark.parametrize(("key", "expected"), RECOMPUTED.items(), ids=map(" ".join, RECOMPUTED))
def test_averages_recomputed_from_their_cells(key: tuple[str, str], expected: float) -> None:
    benchmark, model = key
    row = published_row(model, benchmark)
    assert row is not None
    mean = average(benchmark, row.scores).mean
    assert mean == pytest.approx(expected, abs=0.00501)  # 66.825 is printed 66.83
    assert published_averages(model, benchmark)["paper"] == INCONSISTENT.get(key, expected)


def test_every_row_of_the_paper_is_recomputed() -> None:
    rows = {(row.benchmark, row.model) for row in ROWS if row.source == "paper"}
    assert rows == set(RECOMPUTED)


@pytest.mark.parametrize(("order", "expected"), [("best_first", 61.85), ("worst_first", 61.45), ("random", 62.24)])
def test_the_order_of_the_candidates_is_distinguished(order: str, expected: float) -> None:
    row = published_row(V3, "beir", order)
    assert row is not None
    assert average("beir", row.scores).mean == pytest.approx(expected, abs=0.00501)


def test_card_and_paper_are_kept_apart() -> None:
    card, paper = TABLE["averages"]["card"], TABLE["averages"]["paper"]
    differences = {
        (model, benchmark): (card[model][benchmark], value)
        for model, values in paper.items()
        for benchmark, value in values.items()
        if model in card and card[model][benchmark] != value
    }
    assert differences == {
        (V3, "beir"): (61.94, 61.85),
        (V2, "coir"): (56.14, 58.35),
        (M0, "coir"): (63.55, 66.89),
        ("Qwen/Qwen3-Reranker-4B", "mkqa"): (67.52, 69.25),
    }
    assert {(*key[::-1],) for key in INCONSISTENT} | set(differences) == {
        (note["model"], note["benchmark"]) for note in TABLE["notes"] if note["model"] != "bm25"
    }
    assert published_averages(EMBEDDINGS, "mkqa") == {"paper": 65.63}
    assert published_averages("jinaai/jina-code-embeddings-0.5b", "coir") == {"card": 73.94, "paper": 73.94}
    assert published_averages("jinaai/jina-code-embeddings-0.5b", "beir") == {}


@pytest.mark.parametrize(
    ("model", "dataset", "expected"),
    [
        (V3, "beir/trec-covid", 84.75),
        (V3, "beir/quora", 90.63),
        (M0, "miracl/yo", 80.44),
        (EMBEDDINGS, "beir/webis-touche2020", 26.55),
        ("bm25", "beir/scifact", 67.89),
        ("bm25", "miracl/yo", None),
        ("sentence-transformers/all-MiniLM-L6-v2", "beir/nfcorpus", 31.59),
        (V3, "mkqa/de", None),
        (V3, "beir/msmarco", None),
        (V3, "mine/own", None),
        ("no/such-model", "beir/scifact", None),
    ],
)
def test_published_scores_by_model_and_data_set(model: str, dataset: str, expected: float | None) -> None:
    assert published(model, dataset) == expected


def test_the_sets_are_complete_and_nothing_is_beside_them() -> None:
    assert {name: len(benchmark.datasets) for name, benchmark in BENCHMARKS.items()} == {
        "beir": 13,
        "miracl": 18,
        "mkqa": 26,
        "coir": 10,
    }
    assert {name: benchmark.measure for name, benchmark in BENCHMARKS.items()} == {
        "beir": "nDCG@10",
        "miracl": "nDCG@10",
        "mkqa": "Recall@10",
        "coir": "nDCG@10",
    }
    for row in ROWS:
        assert row.scores.keys() <= BENCHMARKS[row.benchmark].datasets.keys()
        assert row.source in SOURCES
    assert TABLE["averages"].keys() <= SOURCES.keys()


def test_the_data_sets_are_those_that_candidates_can_be_made_of() -> None:
    benchmarks = BENCHMARKS.values()
    names = [name for known in benchmarks for whole in known.datasets for name in known.parts.get(whole, (whole,))]
    assert sorted(names) == sorted(DATASETS)


def test_models_are_those_of_the_catalogue() -> None:
    named = {row.model for row in ROWS} | {model for table in TABLE["averages"].values() for model in table}
    assert {model for model in named if catalogue.named(model) is None} == FIRST_STAGES_BESIDE_THE_CATALOGUE
    assert set(SIZES) == named - FIRST_STAGES_BESIDE_THE_CATALOGUE
    assert {benchmark.first_stage for benchmark in BENCHMARKS.values()} < set(SIZES)


def test_an_average_is_over_the_whole_set_or_not_at_all() -> None:
    row = published_row("bm25", "miracl")
    assert row is not None
    assert average("miracl", row.scores) == Average(None, 16, 18, ("miracl/de", "miracl/yo"))
    whole = average("miracl", {**row.scores, "miracl/de": 0.0, "miracl/yo": 0.0, "beir/nq": 100.0})
    assert whole.mean == pytest.approx(35.2972, abs=1e-4)
    assert whole[1:] == (18, 18, ())


def test_a_data_set_in_parts_counts_once_and_whole() -> None:
    coir = dict.fromkeys(BENCHMARKS["coir"].datasets, 1.0)
    del coir["coir/codesearchnet"]
    languages = ("go", "java", "javascript", "php", "python", "ruby")
    parts = {f"coir/codesearchnet-{language}": 2.0 * place for place, language in enumerate(languages)}  # mean 5
    whole = average("coir", coir | parts)
    assert whole.mean == pytest.approx(1.4)
    assert whole[1:] == (10, 10, ())
    del parts["coir/codesearchnet-go"]
    assert average("coir", coir | parts) == Average(None, 9, 10, ("coir/codesearchnet",))


def test_what_is_odd_is_said() -> None:
    assert notes(M0, "miracl") == ["Card and paper print 66.75; the paper's own cells average 66.31."]
    assert notes(V3, "miracl") == []
