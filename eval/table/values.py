"""A cell's values query by query, in a file beside it: what intervals and tests are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import pyarrow as pa
import pyarrow.parquet as pq

from eval.table.cells import Cell, cell_path
from transforms.base import files
from transforms.base.errors import UserError, one_line

Values = Mapping[str, float]  # query id -> value, of the queries with candidates; all others of the judgements have 0
NEAR = 1e-6  # beyond the rounding of a mean


def _path(directory: str, model: str, dataset: str) -> str:
    return cell_path(directory, model, dataset).removesuffix(".json") + ".parquet"


def write_values(directory: str, model: str, dataset: str, values: Mapping[str, Values]) -> None:
    """Write the values of each measure, a column a measure beside query_id."""
    queries = list(next(iter(values.values())))
    columns = {name: pa.array([of[query] for query in queries], pa.float64()) for name, of in values.items()}
    table = pa.table({"query_id": pa.array(queries, pa.string()), **columns})
    files.write_atomically(_path(directory, model, dataset), lambda stream: pq.write_table(table, stream))


def read_values(directory: str, cells: Sequence[Cell]) -> dict[tuple[str, str], dict[str, Values]]:
    """Model and data set -> measure -> values, of the cells that have them; not of one that was made anew without.

    Raises:
        UserError: a file of values is damaged.
    """
    result: dict[tuple[str, str], dict[str, Values]] = {}
    for cell in cells:
        path = _path(directory, cell.model, cell.dataset)
        if not files.exists(path):
            continue
        try:
            with files.open_columns(path) as stream:
                table = pq.read_table(stream)
            queries = table["query_id"].to_pylist()
            values: dict[str, Values] = {
                name: dict(zip(queries, table[name].to_pylist(), strict=True)) for name in table.column_names[1:]
            }
        except (pa.ArrowException, KeyError) as problem:
            raise UserError(
                f"{path}: not the values of a cell ({one_line(problem)}); delete it, and the table does without"
            ) from None
        main = values.get(cell.measure, {})
        if main and abs(fmean(main.values()) * len(main) / cell.queries["in_qrels"] - cell.value) < NEAR:
            result[cell.model, cell.dataset] = values
    return result
