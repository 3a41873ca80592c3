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


def tasks_of(frame: Any, query: str, text: str, column: str) -> tuple[list[RankingTask], NDArray[np.int64]]:
    """A table's pairs as tasks, one for each distinct query.

    Args:
        frame: anything with Arrow's C stream, one row a pair.
        query: name of the column of queries.
        text: name of the column of documents.
        column: name that the scores' column is to have.

    Returns:
        The tasks in the order of their first rows; and, for each of their pairs in turn, its row.

    Raises:
        UserError: it is not a table, lacks a column, has the new one already, or has nulls or values that are not text.
    """
    try:
        table = frame if isinstance(frame, pa.Table) else pa.table(frame)
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise UserError(f"frame: is not a table ({one_line(error)}); give one of pandas, Polars or Arrow") from error
    for name in (query, text):
        if name not in table.column_names:
            raise UserError(
                f"frame: no column {name!r}; it has {', '.join(table.column_names)}; name it by query= or text="
            )
    if column in table.column_names:
        raise UserError(f"frame: has a column {column!r} already; name another by column=")
    wanted = {name: table[name] for name in (query, text)}
    for name, values in wanted.items():
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
            raise UserError(f"frame: column {name!r} is {values.type}, not text; convert it")
        if values.null_count:
            row = values.is_null().to_pylist().index(True)
            raise UserError(f"frame: column {name!r} is null in row {row}; fill or drop such rows")
    rows: dict[str, list[int]] = {}
    for row, found in enumerate(wanted[query].to_pylist()):
        rows.setdefault(found, []).append(row)
    texts = wanted[text].to_pylist()
    tasks = [RankingTask(found, [texts[row] for row in of]) for found, of in rows.items()]
    return tasks, np.array([row for of in rows.values() for row in of], dtype=np.int64)


def scored_frame(frame: Any, column: str, places: NDArray[np.int64], score: Score, progress: bool) -> Any:
    """The table with its scores.

    Args:
        frame: as of `tasks_of`.
        column: name of the new column.
        places: of each pair in the order of the tasks, its row.
        score: gives the scores in that order, and calls what it is given with the pairs and tokens that were done.
        progress: whether to show a bar.
    """
    with tqdm(total=len(places), unit="pair", disable=not progress) as bar:
        found = score(lambda pairs, tokens: bar.update(pairs))
    scores = np.empty(len(places), dtype=np.float32)
    scores[places] = found
    if isinstance(frame, pa.Table):
        return frame.append_column(column, pa.array(scores))
    library = sys.modules.get(type(frame).__module__.partition(".")[0])
    if library is not None and hasattr(frame, "assign"):  # pandas
        return frame.assign(**{column: scores})
    if library is not None and hasattr(frame, "with_columns"):  # Polars
        return frame.with_columns(library.Series(column, scores))
    return pa.table(frame).append_column(column, pa.array(scores))
