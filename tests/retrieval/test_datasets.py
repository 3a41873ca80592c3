from __future__ import annotations

from collections import Counter

import pytest

from eval.published.scores import BENCHMARKS
from transforms.base.errors import UserError
from transforms.retrieval.datasets import DATASETS, named


def test_every_benchmark_is_whole() -> None:
    # CoIR's ten tasks: two of them are the mean over six languages each.
    assert Counter(name.split("/")[0] for name in DATASETS) == {"beir": 13, "miracl": 18, "mkqa": 26, "coir": 20}
    assert len([name for name in DATASETS if name.startswith("coir/codesearchnet-ccr-")]) == 6


def test_every_published_cell_has_its_data_sets() -> None:
    cells = [(benchmark, name) for benchmark in BENCHMARKS.values() for name in benchmark.datasets]
    wanted = {part for benchmark, name in cells for part in benchmark.parts.get(name, (name,))}
    assert wanted <= DATASETS.keys()


def test_rules_of_the_benchmarks() -> None:
    assert {name.split("/")[0] for name, dataset in DATASETS.items() if dataset.exclude_identical_ids} == {"beir"}
    splits = {(name.split("/")[0], dataset.split) for name, dataset in DATASETS.items()}
    assert splits == {("beir", "test"), ("miracl", "dev"), ("mkqa", "train"), ("coir", "test")}
    assert {dataset.corpus.repository for name, dataset in DATASETS.items() if name.startswith("mkqa/")} == {"BeIR/nq"}
    assert DATASETS["mkqa/zh_hk"].question_language == "zh_hk"
    assert DATASETS["mkqa/zh_hk"].language == "en"  # of the corpus


def test_only_data_is_ever_wanted() -> None:
    places = [place for one in DATASETS.values() for place in (one.corpus, one.queries, one.qrels) if place]
    patterns = [pattern.removesuffix(".gz") for place in places for pattern in place.patterns]
    endings = {pattern.rpartition(".")[2] for pattern in patterns}
    assert endings == {"jsonl", "tsv", "parquet"}


def test_names_in_any_case() -> None:
    assert named("CoIR/CodeSearchNet-go").corpus.repository == "CoIR-Retrieval/CodeSearchNet-go-queries-corpus"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("beir/scifacts", "did you mean beir/scifact?"),
        ("coir/codetrans", "give one of its parts, coir/codetrans-contest, coir/codetrans-dl"),
        ("nothing", "give beir/scifact, miracl/yo, mkqa/de, coir/cosqa and so on"),
    ],
)
def test_unknown_names(name: str, hint: str) -> None:
    with pytest.raises(UserError) as refused:
        named(name)
    assert str(refused.value) == f"data set {name}: neither a directory nor a data set that is known; {hint}"
