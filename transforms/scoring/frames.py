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
from transforms.scoring.results import RankingTask

Score = Callable[[Callable[[float, int], None]], NDArray[np.float32]]


def table_of(frame: Any) -> pa.Table:
    """The frame as Arrow's table, read once: a stream gives its rows no second time.

    Raises:
        UserError: it is not a table.
    """
    try:
        return frame if isinstance(frame, pa.Table) else pa.table(frame)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise UserError(f"frame: is not a table ({one_line(error)}); give one of pandas, Polars or Arrow") from error


def tasks_of(table: pa.Table, query: str, text: str, column: str) -> tuple[list[RankingTask], NDArray[np.int64]]:
    """A table's pairs as tasks, one for each distinct query.

    Args:
        table: one row a pair.
        query: name of the column of queries.
        text: name of the column of documents.
        column: name that the scores' column is to have.

    Returns:
        The tasks in the order of their first rows; and, for each of their pairs in turn, its row.

    Raises:
        UserError: it lacks a column or has it twice, has the new one already, or has nulls or values that are not text.
    """
    for name in (query, text):
        if name not in table.column_names:
            raise UserError(
                f"frame: no column {name!r}; it has {', '.join(table.column_names)}; name it by query= or text="
            )
        if table.column_names.count(name) > 1:
            raise UserError(f"frame: has several columns {name!r}; rename all but one")
    if column in table.column_names:
        raise UserError(f"frame: has a column {column!r} already; name another by column=")
    wanted = {name: table[name] for name in (query, text)}
    texts_of: dict[str, list[str]] = {}
    for name, values in wanted.items():
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
            raise UserError(f"frame: column {name!r} is {values.type}, not text; convert it")
        values = values.cast(kind)  # a dictionary can have a null among its values
        if values.null_count:
            row = values.is_null().to_pylist().index(True)
            raise UserError(f"frame: column {name!r} is null in row {row}; fill or drop such rows")
        try:
            texts_of[name] = values.to_pylist()
        except UnicodeDecodeError as error:
            raise UserError(f"frame: column {name!r} is not valid UTF-8 ({one_line(error)}); fix its text") from error
    rows: dict[str, list[int]] = {}
    for row, found in enumerate(texts_of[query]):
        rows.setdefault(found, []).append(row)
    tasks = [RankingTask(found, [texts_of[text][row] for row in of]) for found, of in rows.items()]
    return tasks, np.array([row for of in rows.values() for row in of], dtype=np.int64)


def scored_frame(
    frame: Any, table: pa.Table, column: str, places: NDArray[np.int64], score: Score, progress: bool
) -> Any:
    """The table with its scores.

    Args:
        frame: as of `table_of`.
        table: what that made of it.
        column: name of the new column.
        places: of each pair in the order of the tasks, its row.
        score: gives the scores in that order, and calls what it is given with the pairs and tokens that were done.
        progress: whether to show a bar.
    """
    with tqdm(total=len(places), unit="pair", disable=not progress) as bar:
        found = score(lambda pairs, tokens: bar.update(pairs))
    scores = np.empty(len(places), dtype=np.float32)
    scores[places] = found
    library = sys.modules.get(type(frame).__module__.partition(".")[0])
    if library is not None and hasattr(frame, "assign"):  # pandas
        return frame.assign(**{column: scores})
    if library is not None and hasattr(frame, "with_columns"):  # Polars
        return frame.with_columns(library.Series(column, scores))
    return table.append_column(column, pa.array(scores))
