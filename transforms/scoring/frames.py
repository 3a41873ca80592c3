"""Tables of pairs, whichever library they are of: Arrow's C stream is what all of them speak."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from tqdm import tqdm

from transforms.base.errors import UserError, one_line
from transforms.base.words import kind_of
from transforms.scoring.results import RankingTask

Score = Callable[[Callable[[float, int], None]], NDArray[np.float32]]


def opened(frame: Any) -> Any:
    """The frame as it is where it is pandas' or Polars', else as Arrow's table, read once: a stream gives its rows no
    second time.

    Raises:
        UserError: it is not a table.
    """
    if _is_of("pandas", frame) or _is_of("polars", frame):
        return frame
    try:
        return frame if isinstance(frame, pa.Table) else pa.table(frame)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise UserError(
            f"frame: {kind_of(frame)} is not a table ({one_line(error)}); give one of pandas, Polars or Arrow"
        ) from error


def tasks_of(frame: Any, query: str, text: str, column: str) -> tuple[list[RankingTask], NDArray[np.int64]]:
    """A frame's pairs as tasks, one for each distinct query; no more of it is read than these two columns.

    Args:
        frame: as `opened` gives it, one row a pair.
        query: name of the column of queries.
        text: name of the column of documents.
        column: name that the scores' column is to have.

    Returns:
        The tasks in the order of their first rows; and, for each of their pairs in turn, its row.

    Raises:
        UserError: it lacks a column or has it twice, has the new one already, or has nulls or values that are not text.
    """
    for argument, name in (("query", query), ("text", text), ("column", column)):
        if not isinstance(name, str):
            raise UserError(f"{argument}: {name!r} is not text; give the column's name as text, {str(name)!r}")
    names = frame.column_names if isinstance(frame, pa.Table) else [str(name) for name in frame.columns]
    for name in (query, text):
        if name not in names:
            raise UserError(f"frame: no column {name!r}; it has {', '.join(names)}; name it by query= or text=")
        if names.count(name) > 1:
            raise UserError(f"frame: has several columns {name!r}; rename all but one")
    if column in names:
        raise UserError(f"frame: has a column {column!r} already; name another by column=")
    texts_of = {name: _texts(frame, names.index(name), name) for name in (query, text)}
    rows: dict[str, list[int]] = {}
    for row, query_text in enumerate(texts_of[query]):
        rows.setdefault(query_text, []).append(row)
    tasks = [RankingTask(query_text, [texts_of[text][row] for row in of]) for query_text, of in rows.items()]
    return tasks, np.array([row for of in rows.values() for row in of], dtype=np.int64)


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are texts, in one of Arrow's three forms."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _texts(frame: Any, place: int, name: str) -> list[str]:
    """A column's values; see `tasks_of` for the errors."""
    try:
        values = _column(frame, place)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise UserError(
            f"frame: column {name!r} has values that are not text ({one_line(error)}); convert it"
        ) from error
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not is_text(kind):
        raise UserError(f"frame: column {name!r} is {values.type}, not text; convert it")
    try:
        texts: list[str] = values.to_pylist()
    except UnicodeDecodeError as error:
        raise UserError(f"frame: column {name!r} is not valid UTF-8 ({one_line(error)}); fix its text") from error
    if None in texts:
        raise UserError(f"frame: column {name!r} is null in row {texts.index(None)}; fill or drop such rows")  # type: ignore[arg-type]
    return texts


def _column(frame: Any, place: int) -> Any:
    if _is_of("pandas", frame):
        return pa.array(frame.iloc[:, place])
    return pa.chunked_array(frame.to_series(place)) if _is_of("polars", frame) else frame.column(place)


def _is_of(library: str, frame: Any) -> bool:
    """Whether it is the library's data frame, without importing the library."""
    return library in sys.modules and isinstance(frame, sys.modules[library].DataFrame)


def scored_frame(frame: Any, column: str, places: NDArray[np.int64], score: Score, progress: bool) -> Any:
    """The frame with its scores.

    Args:
        frame: as of `tasks_of`.
        column: name of the new column.
        places: of each pair in the order of the tasks, its row.
        score: gives the scores in that order, and calls what it is given with the pairs and tokens that were done.
        progress: whether to show a bar.
    """
    with tqdm(total=len(places), unit="pair", disable=not progress) as bar:
        results = score(lambda pairs, tokens: bar.update(pairs))
    scores = np.empty(len(places), dtype=np.float32)
    scores[places] = results
    if _is_of("pandas", frame):
        return frame.assign(**{column: scores})
    if _is_of("polars", frame):
        return frame.with_columns(sys.modules["polars"].Series(column, scores))
    return frame.append_column(column, pa.array(scores))
