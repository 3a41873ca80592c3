"""The published comparison table as data: averages, the values behind them, their sources and what is odd in them.

Values are as printed: a hundred times the measure, to two places. The data are in table.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from statistics import fmean
from typing import Any, NamedTuple

TABLE: dict[str, Any] = json.loads(files("eval.published").joinpath("table.json").read_text(encoding="utf-8"))
DEPTH = 100  # candidates of a query, at most, that all published rerankers read


@dataclass(frozen=True)
class Benchmark:
    """A complete set of data sets, over which models are compared.

    Attributes:
        name: beir, miracl, mkqa or coir.
        title: how it is written.
        measure: what its scores are.
        first_stage: model whose candidates, the best DEPTH of each query, the published rerankers read.
        datasets: name as users type it, beir/scifact say, -> title.
        parts: data set -> names of the parts whose mean is its score.
    """

    name: str
    title: str
    measure: str
    first_stage: str
    datasets: Mapping[str, str]
    parts: Mapping[str, tuple[str, ...]]


class Publication(NamedTuple):
    """Where scores are published."""

    title: str
    url: str


class Protocol(NamedTuple):
    """Averages of rerankers that read another first stage's candidates than those of a benchmark's own rows.

    Attributes:
        source: a key of SOURCES.
        first_stage: model whose candidates, the best DEPTH of each query, they read.
        averages: model -> benchmark -> mean over all of its data sets, as printed.
    """

    source: str
    first_stage: str
    averages: Mapping[str, Mapping[str, float]]


class Average(NamedTuple):
    """A mean over a benchmark's data sets, or why there is none.

    Attributes:
        mean: None where a data set is missing.
        found: data sets that have a value.
        total: data sets of the benchmark.
        missing: names of those that have none.
    """

    mean: float | None
    found: int
    total: int
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One model's published scores on data sets of a benchmark.

    Attributes:
        source: a key of SOURCES.
        place: where in that source.
        candidate_order: in which it read the candidates, as of pipelines.rerank; best_first, the first stage's, means
            nothing for a first stage.
        scores: name of a data set -> score.
        first_stage: whether they are of the model as one that finds candidates in the whole corpus, not of a reranker.
    """

    source: str
    place: str
    model: str
    benchmark: str
    candidate_order: str
    scores: Mapping[str, float]
    first_stage: bool


def _benchmark(name: str, fields: Mapping[str, Any]) -> Benchmark:
    return Benchmark(
        name,
        fields["title"],
        fields["measure"],
        fields["first_stage"],
        {f"{name}/{dataset}": title for dataset, title in fields["datasets"].items()},
        {f"{name}/{whole}": tuple(f"{name}/{part}" for part in parts) for whole, parts in fields["parts"].items()},
    )


def _row(cells: Mapping[str, Any]) -> Row:
    return Row(
        cells["source"],
        cells["place"],
        cells["model"],
        cells["benchmark"],
        cells.get("candidate_order", "best_first"),
        {f"{cells['benchmark']}/{dataset}": score for dataset, score in cells["values"].items()},
        cells.get("first_stage", False),
    )


BENCHMARKS = {name: _benchmark(name, fields) for name, fields in TABLE["benchmarks"].items()}
# Data set in parts -> the names of these, and the other way round.
PARTS = {whole: parts for benchmark in BENCHMARKS.values() for whole, parts in benchmark.parts.items()}
WHOLES = {part: whole for whole, parts in PARTS.items() for part in parts}
SOURCES = {name: Publication(**fields) for name, fields in TABLE["sources"].items()}
ROWS = tuple(map(_row, TABLE["cells"]))
PROTOCOLS = tuple(Protocol(**fields) for fields in TABLE["protocols"])  # beside that of the benchmarks' own rows
SIZES: Mapping[str, str] = TABLE["sizes"]  # the models of the table, in its order -> size as printed


def published_row(model: str, benchmark: str, candidate_order: str = "best_first") -> Row | None:
    """A model's published scores on the data sets of a benchmark, if there are any.

    Args:
        model: its name in the catalogue; or bm25, or the hub id of another first stage.
        benchmark: beir, miracl, mkqa or coir.
        candidate_order: best_first, worst_first or random.
    """
    wanted = (model, benchmark, candidate_order)
    return next((row for row in ROWS if (row.model, row.benchmark, row.candidate_order) == wanted), None)


def published(model: str, dataset: str, candidate_order: str = "best_first") -> float | None:
    """A model's published score on a data set, beir/scifact say, if there is one; see `published_row`."""
    row = published_row(model, benchmark_of(dataset), candidate_order)
    return row.scores.get(dataset) if row else None


def published_averages(model: str, benchmark: str) -> dict[str, float]:
    """A model's average over a benchmark, as each source prints it; sources that print none are left out."""
    printed = {source: averages.get(model, {}).get(benchmark) for source, averages in TABLE["averages"].items()}
    return {source: value for source, value in printed.items() if value is not None}


def notes(model: str, benchmark: str, dataset: str | None = None) -> list[str]:
    """What is known to be inconsistent, or to be minded, in a model's published scores.

    Args:
        model: its name.
        benchmark: beir, miracl, mkqa or coir.
        dataset: beir/scifact, say, for what is about that data set alone; None for all.
    """
    notes = [note for note in TABLE["notes"] if (note["model"], note["benchmark"]) == (model, benchmark)]
    if dataset is not None:
        notes = [note for note in notes if f"{benchmark}/{note.get('dataset')}" == dataset]
    return [note["note"] for note in notes]


def benchmark_of(dataset: str) -> str:
    """The benchmark's name in that of a data set, whether it is one of that benchmark's own or not."""
    return dataset.partition("/")[0]


def average(benchmark: str, scores: Mapping[str, float]) -> Average:
    """The mean of scores over all data sets of a benchmark; without one of them there is none.

    Args:
        benchmark: beir, miracl, mkqa or coir.
        scores: name of a data set, or of a part of one -> score; those of other benchmarks are ignored. The score of a
            data set in parts is the mean over all of them, unless it is given itself.
    """
    known = BENCHMARKS[benchmark]
    whole = {
        dataset: fmean(scores[part] for part in parts)
        for dataset, parts in known.parts.items()
        if all(part in scores for part in parts)
    }
    present = {dataset: score for dataset, score in {**whole, **scores}.items() if dataset in known.datasets}
    missing = tuple(dataset for dataset in known.datasets if dataset not in present)
    mean = None if missing else fmean(present.values())
    return Average(mean, len(present), len(known.datasets), missing)
