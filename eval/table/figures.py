"""Figures as they are published, a hundred times the measure, and what benchmark they belong to."""

from __future__ import annotations

from eval.published.scores import BENCHMARKS, Benchmark, benchmark_of


def hundred(value: float) -> float:
    """A score as it is published, less the dust that a product of floats leaves."""
    return round(100 * value, 6)


def difference(value: float | None, reference: float | None) -> float | None:
    return None if value is None or reference is None else round(value - reference, 6)


def known_benchmark(dataset: str) -> Benchmark | None:
    """The published benchmark that a data set's name puts it in."""
    return BENCHMARKS.get(benchmark_of(dataset)) if "/" in dataset else None
