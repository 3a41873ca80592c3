"""Cells of a comparison: one JSON file for each model and data set, with all that is needed to trust its figures.

DIRECTORY/cells/DATASET/MODEL.json holds a `Cell`, or a `FailedCell` where the model could not be measured on the data
set.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from transforms.base import files
from transforms.base.errors import UserError, one_line
from transforms.base.json_text import parse
from transforms.base.text import reading

CELLS = "cells"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class ValueType(NamedTuple):
    """What a value must be: how an error names it, and whether a value is it."""

    name: str
    holds: Callable[[Any], bool]

    def or_null(self) -> ValueType:
        return ValueType(self.name, lambda value: value is None or self.holds(value))


_MOST = 10**15  # of counts and speeds, far above any
_TEXT = ValueType("text", lambda value: isinstance(value, str))
_OBJECT = ValueType("an object", lambda value: isinstance(value, dict))
_LIST = ValueType("a list", lambda value: isinstance(value, list))
_SHARE = ValueType("between 0 and 1", lambda value: isinstance(value, int | float) and 0 <= value <= 1)
_COUNT = ValueType("a count", lambda value: isinstance(value, int) and 0 <= value < _MOST)
_NUMBER = ValueType("a number", lambda value: isinstance(value, int | float) and 0 <= value < _MOST)
# What others read of a cell, by its names, what holds others before them. "*": all that is there; "?": where it is.
_READ_LATER: Mapping[str, ValueType] = {
    **dict.fromkeys(("model", "dataset", "measure"), _TEXT),
    **dict.fromkeys(("value", "list_recall"), _SHARE),
    "first_stage": _SHARE.or_null(),
    **dict.fromkeys(("trained_on", "outdated"), _TEXT.or_null()),
    "parameters": _NUMBER.or_null(),
    **dict.fromkeys(("pairs", "depth"), _COUNT),
    **dict.fromkeys(("queries", "languages", "candidates", "departures", "run", "rejected"), _OBJECT),
    **dict.fromkeys(("queries in_qrels", "queries without_candidates", "rejected pairs", "run pairs"), _COUNT),
    "languages *": _OBJECT,
    "languages * queries": _COUNT,
    **dict.fromkeys(("languages * first_stage?", "languages * reranked?"), _SHARE),
    "candidates retriever?": _TEXT.or_null(),
    **dict.fromkeys(("notes", "measures", "candidates files"), _LIST),
    "notes *": _TEXT,
    "measures * input_order?": _SHARE,
    **dict.fromkeys(("measures *", "candidates files *"), _OBJECT),
    "candidates files * size": _COUNT,
    **dict.fromkeys(("candidates files * footer_hash", "candidates judgements_sha256"), _TEXT),
    **dict.fromkeys(("run pairs_per_second", "run price_per_hour", "run cost"), _NUMBER.or_null()),
}


@dataclass(frozen=True)
class Cell:
    """A model on a data set, measured.

    Attributes:
        model: the name that the table shows.
        dataset: likewise; beir/scifact, say, is the data set of that benchmark, other names are the user's own.
        measure: in ir-measures' notation, or Recall@10 (by answers) for MKQA.
        value: its mean over all queries of the judgements, 0 to 1, those without candidates counting 0.
        first_stage: the same of the candidates' order as it was given; None where it is not known.
        list_recall: what the candidates hold, in whatever order: the share of the relevant documents or, by answers, of
            the queries with an answer.
        trained_on: what of this data set the model is known to have been trained on; None where nothing is known.
        parameters: of the model, in billions; None where they are not known.
        queries: counts: in_qrels, with_candidates, without_candidates.
        pairs: (query, document) pairs.
        depth: candidates of the query that has most.
        languages: language -> queries, value and first_stage, where the candidates tell a query's language and there is
            more than one; queries without candidates are in none.
        measures: all that was measured: measure, first_stage, reranked and difference in each row.
        candidates: where they are from: files with their size and hash, retriever, judgements.
        reranker: which model: what it was loaded from, what identifies its files, family, settings, licence.
        departures: settings that are not those of the published comparison's protocol, by name; else the model's own.
        execution: device, dtype, kernel and so on.
        run: seconds, pairs in them, pairs_per_second, price_per_hour, and cost of all pairs at that speed. A job that
            was interrupted knows its last run alone.
        truncated: documents and queries that were cut, the tokens lost, and documents read in windows.
        rejected: pairs without a score, by reason.
        notes: what a reader of the figures must know.
        versions: of Python and the packages that matter.
        made: when, ISO 8601.
        fingerprint: of all that decides the value; a cell that has it need not be done again.
        outdated: why there is nothing newer, where it was to be done again with other options or data; None for a cell
            that is as it was last asked for.
    """

    model: str
    dataset: str
    measure: str
    value: float
    first_stage: float | None
    list_recall: float
    trained_on: str | None
    parameters: float | None
    queries: Mapping[str, int]
    pairs: int
    depth: int
    languages: Mapping[str, Mapping[str, Any]]
    measures: Sequence[Mapping[str, Any]]
    candidates: Mapping[str, Any]
    reranker: Mapping[str, Any]
    departures: Mapping[str, Any]
    execution: Mapping[str, Any]
    run: Mapping[str, Any]
    truncated: Mapping[str, Any]
    rejected: Mapping[str, Any]
    notes: Sequence[str]
    versions: Mapping[str, str]
    made: str
    fingerprint: str
    outdated: str | None

    @property
    def input_order(self) -> float | None:
        """The `value` of the order in which the candidates were given, where no first stage made it; else None."""
        rows = (row for row in self.measures if row["measure"] == self.measure)
        return next((row.get("input_order") for row in rows), None)


class FailedCell(NamedTuple):
    """A model that could not be measured on a data set, and why, in one line."""

    model: str
    dataset: str
    failed: str


def safe_name(name: str) -> str:
    """A file name for any name: itself where it is plain, else its plain characters and a hash of it.

    What comes out has only ASCII letters, digits, ".", "_" and "-", does not begin with ".", and different names get
    different ones.
    """
    if _PLAIN.fullmatch(name) and not re.search(r"-[0-9a-f]{8}$", name):
        return name
    slug = re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_-")[:60]
    return f"{slug or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def cell_path(directory: str, model: str, dataset: str) -> str:
    """Where a cell's file is in a directory of results."""
    return files.join(directory, CELLS, safe_name(dataset), f"{safe_name(model)}.json")


def read_cell(location: str) -> Cell | FailedCell:
    """The contents of a cell's file.

    Raises:
        UserError: it is damaged, or no such file.
    """
    with reading(location):
        content = files.read_text(location)
    try:
        values = dict(parse(content))
        if "failed" in values:
            return FailedCell(str(values["model"]), str(values["dataset"]), str(values["failed"]))
        cell = Cell(**{field.name: values[field.name] for field in fields(Cell)})
        _check(values)
    except (ValueError, TypeError, KeyError) as problem:
        raise UserError(
            f"{location}: not a cell of a benchmark ({one_line(problem)}); delete it and run the benchmark again"
        ) from None
    return cell


def _check(values: Mapping[str, Any]) -> None:
    """Finds what would break a table that is made of the cell long after it was read."""
    for path, kind in _READ_LATER.items():
        for value in _at(values, path.split()):
            if not kind.holds(value):
                raise ValueError(f"{path.rstrip('?')} is not {kind.name}")
    json.dumps(values, ensure_ascii=False).encode()  # half characters, which no file can hold


def _at(value: Any, names: Sequence[str], before: str = "") -> Iterator[Any]:
    """The values that the names lead to."""
    if not names:
        yield value
        return
    name, *rest = names
    if name == "*":
        inner = value.values() if isinstance(value, dict) else value
    elif name.rstrip("?") in value:
        inner = [value[name.rstrip("?")]]
    elif name.endswith("?"):
        return
    else:
        raise ValueError(f"{before.strip()} lacks {name}")
    for each in inner:
        yield from _at(each, rest, f"{before} {name}")


def cell_files(directory: str) -> list[str]:
    """The files of a directory of results that hold cells or failures, in the order of their names."""
    with reading(directory):
        paths = files.walk(files.join(directory, CELLS))
    return [path for path in paths if path.endswith(".json") and not files.base_name(path).startswith(".")]


def read_cells(directory: str) -> tuple[list[Cell], list[FailedCell]]:
    """All cells of a directory of results, and what failed, each in the order of the files' names.

    Raises:
        UserError: there is none, or one is damaged.
    """
    read = [read_cell(file) for file in cell_files(directory)]
    if not read:
        raise UserError(f"{directory}: no {CELLS}/*/*.json in it; give the --output of pipelines.benchmark")
    cells = [each for each in read if isinstance(each, Cell)]
    return cells, [each for each in read if isinstance(each, FailedCell)]
