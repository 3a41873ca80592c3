"""Judges candidates by the answers that their passages hold. Reads candidate files; knows nothing of their ranks."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from eval.ranking.answers import holds
from transforms.base.errors import UserError
from transforms.input.arrays import decodable
from transforms.input.columns import resolve
from transforms.input.named import input_files
from transforms.input.parquet import DamagedError, batches, open_parquet, read_footer
from transforms.input.rows import flat_batch, nested_rows
from transforms.input.template import render

Pair = tuple[str | None, str | None, str | None]  # query id, document id, title and text


def candidate_files(patterns: Sequence[str] | None, job: Mapping[str, Any]) -> list[str]:
    """The candidate files of a measurement: those that the user names, else those that the job read.

    Raises:
        UserError: no file is named, in job.json neither, a pattern matches none, or they are not what the job read.
    """
    inputs = job.get("inputs", [])
    if not patterns and not inputs:
        raise UserError("--candidates: no job.json names the candidate files; give them")
    paths = input_files(patterns or [entry["path"] for entry in inputs])
    missing = {entry["footer_hash"]: entry["path"] for entry in inputs}
    for path in paths if missing else ():
        missing.pop(read_footer(path).hash, None)
    if missing:
        (path, *others) = missing.values()
        more = f" and {len(others)} more" if others else ""
        raise UserError(f"--candidates: what the job read as {path}{more} is not among these files; give those it read")
    return paths


class Listed:
    """Which pairs the candidate files list, each as a hash in eight bytes."""

    def __init__(self, pairs: array[int]) -> None:
        self._sorted = np.sort(np.frombuffer(pairs, np.int64))

    def missing(self, query_id: str, doc_ids: Sequence[str]) -> list[str]:
        """Those of a query's documents that the files do not list."""
        hashes = np.array([hash((query_id, doc_id)) for doc_id in doc_ids], np.int64)
        first, after = (np.searchsorted(self._sorted, hashes, side) for side in ("left", "right"))
        return [doc_ids[place] for place in np.flatnonzero(first == after).tolist()]


def judge(answers: Mapping[str, Sequence[str]], paths: Sequence[str]) -> tuple[dict[str, dict[str, int]], Listed]:
    """Grades by answers, and what they are known of; texts are in memory a batch at a time.

    Args:
        answers: query id -> its answers, spelled.
        paths: candidate files, of either layout.

    Returns:
        Query id -> document id -> 1 for the passages that hold an answer; all queries of `answers` are in it, and
        nothing else. And the pairs of these queries in the files.

    Raises:
        UserError: a file does not hold candidates, or is damaged.
    """
    grades: dict[str, dict[str, int]] = {query_id: {} for query_id in answers}
    listed = array("q")
    for path in paths:
        for query_id, doc_id, passage in _pairs(path):
            if query_id is None or query_id not in grades or doc_id is None:
                continue
            listed.append(hash((query_id, doc_id)))
            if passage is not None and holds(passage, answers[query_id]):
                grades[query_id][doc_id] = 1
    return grades, Listed(listed)


def _pairs(path: str) -> Iterator[Pair]:
    """The pairs of a file, in its order; None for what is null or not UTF-8."""
    footer = read_footer(path)
    if not footer.metadata.num_rows:  # what wrote it may not have known the types
        return
    with open_parquet(path, footer.hash) as parquet:
        columns = resolve(parquet)
        for row_group in range(parquet.metadata.num_row_groups):
            try:
                for batch in batches(parquet, row_group, columns.paths(), columns.plain):
                    if columns.layout == "flat":
                        pairs = flat_batch(batch, columns, path, 0)
                        yield from _rendered(pairs.column("query_id"), pairs)
                        continue
                    nested = nested_rows(batch, columns, path, 0)
                    parents = pa.array(np.repeat(np.arange(len(nested.n_entries)), nested.n_entries))
                    yield from _rendered(nested.queries.column("query_id").take(parents), nested.entries)
            except DamagedError as problem:
                raise UserError(f"{path}: row group {row_group} is damaged ({problem}); give a whole file") from None


def _rendered(query_ids: pa.StringArray, entries: pa.RecordBatch) -> Iterator[Pair]:
    title, text, doc_ids, query_ids = (
        decodable(strings)[0]
        for strings in (entries.column("title"), entries.column("text"), entries.column("doc_id"), query_ids)
    )
    passages = render(None, title, text)
    yield from zip(query_ids.to_pylist(), doc_ids.to_pylist(), passages.to_pylist(), strict=True)
