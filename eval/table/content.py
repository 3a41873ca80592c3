"""What the comparison says, as plain data: published and measured side by side. Reads and writes nothing.

All scores are a hundred times the measure, as they are published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from eval.published.scores import (
    BENCHMARKS,
    DEPTH,
    PARTS,
    SIZES,
    SOURCES,
    WHOLES,
    Benchmark,
    average,
    benchmark_of,
    notes,
    published_averages,
    published_row,
)
from eval.table.cells import Cell, FailedCell
from eval.table.figures import difference, hundred, known_benchmark
from eval.table.protocols import protocol_of, protocol_sections
from eval.table.standings import CERTAINTY, Standing, standings
from eval.table.values import Values

# What a reader must know of a figure, by the sign that stands beside it.
MARKS = {
    "‡": "The model was trained on data of this set: no measure of its quality, and in no average.",
    "†": "Not the published protocol: other first-stage candidates, not the best 100 of them, or other settings or "
    "another measure.",
    "§": "Pairs were rejected; each lost place counts against the model.",
    "‖": "An older figure: when it was last asked for, it could not be checked again or not be done again.",
    "¶": "The models of this data set did not read the same candidates, or were not held to the same judgements.",
}


def contents(
    cells: Sequence[Cell],
    failures: Sequence[FailedCell],
    values: Mapping[tuple[str, str], Mapping[str, Values]] | None = None,
    measures: Sequence[str] = (),
) -> dict[str, Any]:
    """The whole comparison.

    Args:
        cells: what was measured, each model and data set once.
        failures: what could not be.
        values: query by query, as far as they are known: model and data set -> measure -> values.
        measures: of which the data sets' tables have a column each, besides the main one.
    """
    benchmarks = [benchmark_section(benchmark, cells) for benchmark in BENCHMARKS.values()]
    names = sorted({cell.dataset for cell in cells}, key=_dataset_order)
    datasets = [
        dataset_section([cell for cell in cells if cell.dataset == name], values or {}, measures) for name in names
    ]
    used = {mark for section in datasets for row in section["rows"] for mark in row["marks"]}
    return {
        "scale": "all scores are a hundred times the measure",
        "certainty": CERTAINTY,
        "models": models_of(cells, failures),
        "benchmarks": benchmarks,
        "own": matrix([cell for cell in cells if known_benchmark(cell.dataset) is None]),
        "datasets": datasets,
        "marks": {mark: text for mark, text in MARKS.items() if mark in used},
        "missing": missing(cells, failures, benchmarks),
        "sources": {name: source._asdict() for name, source in SOURCES.items()},
        "cells": [asdict(cell) for cell in sorted(cells, key=lambda cell: (_dataset_order(cell.dataset), cell.model))],
    }


def models_of(cells: Sequence[Cell], failures: Sequence[FailedCell]) -> list[str]:
    """The measured models: those of the published table in its order, then the others."""
    names = {cell.model for cell in cells} | {failure.model for failure in failures}
    return [name for name in SIZES if name in names] + sorted(names - SIZES.keys())


def benchmark_section(benchmark: Benchmark, cells: Sequence[Cell]) -> dict[str, Any]:
    """A benchmark's averages, a row a model that is published or measured on one of its data sets, and the values."""
    every = [cell for cell in cells if cell.dataset.startswith(f"{benchmark.name}/")]
    ours = [cell for cell in every if protocol_of(cell) is None]
    measured = dict.fromkeys(sorted(cell.model for cell in ours))
    rows = [_first_stage_row(benchmark, ours)]
    for model in [*SIZES, *(model for model in measured if model not in SIZES)]:
        printed = {} if model == benchmark.first_stage else published_averages(model, benchmark.name)
        if printed or model in measured:
            counted = [cell for cell in ours if cell.model == model and not cell.trained_on]
            row = average_row(benchmark, model, printed, {cell.dataset: hundred(cell.value) for cell in counted})
            present = {mark for cell in counted for mark in marks_of(cell)}
            rows.append(row | {"size": size_of(model, ours), "marks": [mark for mark in MARKS if mark in present]})
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "measure": benchmark.measure,
        "first_stage": benchmark.first_stage,
        "rows": rows,
        "protocols": protocol_sections(benchmark, every),
        "matrix": with_wholes(matrix(every)),
    }


def average_row(
    benchmark: Benchmark, model: str, printed: Mapping[str, float], scores: Mapping[str, float]
) -> dict[str, Any]:
    """A model's average as published and as measured; there is a measured one only over all data sets.

    Args:
        benchmark: the benchmark.
        model: its name.
        printed: source -> published average.
        scores: data set -> measured score.
    """
    measured = average(benchmark.name, scores)
    return {
        "model": model,
        "role": "reranker",
        "card": printed.get("card"),
        "paper": printed.get("paper"),
        "measured": measured.mean,
        "difference_card": difference(measured.mean, printed.get("card")),
        "difference_paper": difference(measured.mean, printed.get("paper")),
        "count": measured.found,
        "total": measured.total,
        "missing": list(measured.missing),
        "notes": notes(model, benchmark.name),
    }


def _first_stage_row(benchmark: Benchmark, cells: Sequence[Cell]) -> dict[str, Any]:
    """The published first stage against the same one measured here, where it made the candidates."""
    theirs = [cell for cell in cells if cell.candidates.get("retriever") == f"dense:{benchmark.first_stage}"]
    scores = {cell.dataset: hundred(cell.first_stage) for cell in theirs if cell.first_stage is not None}
    printed = published_averages(benchmark.first_stage, benchmark.name)
    row = average_row(benchmark, benchmark.first_stage, printed, scores)
    marks = ["†"] if any(cell.depth != DEPTH for cell in theirs) else []
    return row | {"role": "first stage", "size": size_of(benchmark.first_stage, cells), "marks": marks}


def matrix(cells: Sequence[Cell]) -> dict[str, Any]:
    """Values by data set (rows) and model (columns), each with what is published of it and what it gains."""
    models = sorted({cell.model for cell in cells}, key=_model_order)
    by_place = {(cell.dataset, cell.model): cell for cell in cells}
    names = sorted({cell.dataset for cell in cells}, key=_dataset_order)
    rows = []
    for name in names:
        row = [by_place.get((name, model)) for model in models]
        rows.append(
            {
                "dataset": name,
                "title": title_of(name),
                "first_stage": _shared([cell.first_stage for cell in row if cell is not None]),
                "values": [_value(cell) for cell in row],
                "mean": False,
            }
        )
    return {"models": models, "rows": rows}


def with_wholes(values: dict[str, Any]) -> dict[str, Any]:
    """A matrix with a row more after the parts of each data set in parts of which some model has all: their means."""
    rows = []
    for row in values["rows"]:
        rows.append(row)
        whole = WHOLES.get(row["dataset"])
        parts = [each for each in rows if whole and WHOLES.get(each["dataset"]) == whole]
        if whole and len(parts) == len(PARTS[whole]):
            means = [_mean([part["values"][place] for part in parts]) for place in range(len(values["models"]))]
            stages = [part["first_stage"] for part in parts]
            title = f"{title_of(whole)}, mean of {len(parts)}"
            first_stage = None if None in stages else fmean(stages)
            rows.append({"dataset": whole, "title": title, "first_stage": first_stage, "values": means, "mean": True})
    return values | {"rows": rows}


def _mean(values: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """What `_value` says of a model on all parts of a data set, as means; None where one lacks or is in no average."""
    counted = [value for value in values if value is not None and "‡" not in value["marks"]]
    if len(counted) < len(values):
        return None
    gains = [value["gain"] for value in counted]
    marks = {mark for value in counted for mark in value["marks"]}
    return {
        "measured": fmean(value["measured"] for value in counted),
        "published": None,
        "difference": None,
        "gain": None if None in gains else fmean(gains),
        "marks": [mark for mark in MARKS if mark in marks],
    }


def _value(cell: Cell | None) -> dict[str, Any] | None:
    if cell is None:
        return None
    printed, _ = _published(cell.model, cell.dataset, first_stage=False)
    measured = hundred(cell.value)
    return {
        "measured": measured,
        "published": printed,
        "difference": difference(measured, printed),
        "gain": difference(measured, _hundred(cell.first_stage)),
        "marks": marks_of(cell),
    }


def dataset_section(
    cells: Sequence[Cell],
    values: Mapping[tuple[str, str], Mapping[str, Values]],
    measures: Sequence[str],
) -> dict[str, Any]:
    """One data set: its candidates, a row a model, and languages where the candidates name them.

    Args:
        cells: all of this data set, at least one.
        values: as of `contents`.
        measures: likewise.
    """
    cells = sorted(cells, key=lambda cell: _model_order(cell.model))
    first, unequal = cells[0], len({_material(cell) for cell in cells}) > 1
    known = known_benchmark(first.dataset)
    retriever = first.candidates.get("retriever")
    finder = retriever.removeprefix("dense:") if retriever else None
    printed, source = _published(finder, first.dataset, first_stage=True)
    said = notes(finder, known.name, first.dataset) if known and finder else []
    return {
        "name": first.dataset,
        "title": title_of(first.dataset),
        "benchmark": known.title if known else None,
        "measure": first.measure,
        "retriever": retriever,
        "first_stage": _shared([cell.first_stage for cell in cells]),
        "input_order": _shared([cell.input_order for cell in cells]),
        "first_stage_published": printed,
        "first_stage_source": source,
        "list_recall": _shared([cell.list_recall for cell in cells]),
        "queries": dict(first.queries),
        "pairs": first.pairs,
        "depth": first.depth,
        "further": (further := [name for name in measures if name != first.measure]),
        "rows": [
            dataset_row(cell, unequal, standing, further)
            for cell, standing in zip(cells, standings(cells, values), strict=True)
        ],
        "languages": languages(cells),
        "notes": [*dict.fromkeys(note for cell in cells for note in cell.notes), *said],
    }


def dataset_row(cell: Cell, unequal: bool, standing: Standing, further: Sequence[str]) -> dict[str, Any]:
    """A model on a data set.

    Args:
        cell: what was measured.
        unequal: whether the models of this data set read different candidates, or were judged differently.
        standing: of the model in this data set.
        further: names of measures besides the main one.
    """
    rows = {row["measure"]: row["reranked"] for row in cell.measures}
    # Values of single data sets are published by the benchmarks' own protocol alone.
    other = protocol_of(cell)
    printed, source = (None, None) if other else _published(cell.model, cell.dataset, first_stage=False)
    measured = hundred(cell.value)
    return {
        "model": cell.model,
        "size": size_of(cell.model, [cell]),
        "measured": measured,
        "low": _hundred(standing.low),
        "high": _hundred(standing.high),
        "best": standing.best,
        "further": [_hundred(rows.get(name)) for name in further],
        "published": printed,
        "source": source,
        "protocol": SOURCES[other.source].title if other else None,
        "difference": difference(measured, printed),
        "first_stage": _hundred(cell.first_stage),
        "gain": difference(measured, _hundred(cell.first_stage)),
        "list_recall": _hundred(cell.list_recall),
        "pairs_per_second": cell.run["pairs_per_second"],
        "cost": cell.run["cost"],
        "trained_on": cell.trained_on,
        "rejected": cell.rejected["pairs"],
        "marks": marks_of(cell) + (["¶"] if unequal else []),
    }


def _published(model: str | None, dataset: str, *, first_stage: bool) -> tuple[float | None, str | None]:
    """A model's published score on a data set, as a first stage or as a reranker, and where it stands."""
    row = published_row(model, benchmark_of(dataset)) if model else None
    if row is None or row.first_stage != first_stage or dataset not in row.scores:
        return None, None
    return row.scores[dataset], f"{row.source}, {row.place}"


def languages(cells: Sequence[Cell]) -> dict[str, Any] | None:
    """Values by language (rows) and model (columns) of one data set; None where the candidates name no languages."""
    with_languages = [cell for cell in cells if cell.languages]
    if not with_languages:
        return None
    names = sorted({language for cell in with_languages for language in cell.languages})
    return {
        "models": [cell.model for cell in with_languages],
        "rows": [
            {
                "language": name,
                "queries": max(cell.languages[name]["queries"] for cell in with_languages if name in cell.languages),
                "first_stage": _shared([cell.languages.get(name, {}).get("first_stage") for cell in with_languages]),
                "values": [_hundred(cell.languages.get(name, {}).get("reranked")) for cell in with_languages],
            }
            for name in names
        ],
    }


def marks_of(cell: Cell) -> list[str]:
    """The signs of MARKS that belong to a cell by itself."""
    known = known_benchmark(cell.dataset)
    other = protocol_of(cell)
    first_stage = known and (other or known).first_stage
    published = known is None or (
        cell.candidates.get("retriever") == f"dense:{first_stage}" and cell.depth == DEPTH and not cell.departures
    )
    marks = {"‡": cell.trained_on, "†": not published, "§": cell.rejected["pairs"], "‖": cell.outdated}
    return [mark for mark, applies in marks.items() if applies]


def missing(
    cells: Sequence[Cell], failures: Sequence[FailedCell], benchmarks: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What is not in the table: failed cells, pairs of model and data set never tried, and data sets of benchmarks."""
    tried = {(cell.model, cell.dataset) for cell in cells} | {(each.model, each.dataset) for each in failures}
    models = models_of(cells, failures)
    datasets = sorted({dataset for _, dataset in tried}, key=_dataset_order)
    return {
        "failed": [failure._asdict() for failure in failures],
        "outdated": [[cell.model, cell.dataset, cell.outdated] for cell in cells if cell.outdated],
        "not_run": [[model, name] for model in models for name in datasets if (model, name) not in tried],
        "incomplete": [
            {"benchmark": section["title"], "model": row["model"], "count": row["count"], "total": row["total"]}
            | {"missing": [title_of(name) for name in row["missing"]]}
            for section in benchmarks
            for row in section["rows"]
            if 0 < row["count"] < row["total"]
        ],
        "untouched": [section["title"] for section in benchmarks if not section["matrix"]["rows"]],
    }


def title_of(dataset: str) -> str:
    """How a data set is written."""
    known, whole = known_benchmark(dataset), WHOLES.get(dataset)
    if known and whole:
        return f"{known.datasets[whole]}, {dataset.removeprefix(f'{whole}-')}"
    return known.datasets.get(dataset, dataset) if known else dataset


def size_of(model: str, cells: Sequence[Cell]) -> str | None:
    """A model's size as published, else by its parameters."""
    billions = next((cell.parameters for cell in cells if cell.model == model and cell.parameters), None)
    if model in SIZES or billions is None:
        return SIZES.get(model)
    return f"{billions:.1f}B" if billions >= 0.1 else f"{1000 * billions:.0f}M"


def _hundred(value: float | None) -> float | None:
    return None if value is None else hundred(value)


def _shared(values: Sequence[float | None]) -> float | None:
    """The score that all have who know it; None where they differ, as on different candidates."""
    known = {value for value in values if value is not None}
    return hundred(known.pop()) if len(known) == 1 else None


def _material(cell: Cell) -> tuple[Any, ...]:
    """What a data set's models must share for their figures to be comparable."""
    files = cell.candidates["files"]
    return tuple((file["size"], file["footer_hash"]) for file in files), cell.candidates["judgements_sha256"]


def _model_order(model: str) -> tuple[int, str]:
    order = list(SIZES)
    return (order.index(model) if model in SIZES else len(order), model)


def _dataset_order(dataset: str) -> tuple[int, int, str]:
    """The published benchmarks' data sets in their order, then all others by name."""
    known = known_benchmark(dataset)
    if known is None:
        return len(BENCHMARKS), 0, dataset
    order, place = list(known.datasets), WHOLES.get(dataset, dataset)
    return list(BENCHMARKS).index(known.name), order.index(place) if place in order else len(order), dataset
