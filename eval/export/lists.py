"""A finished job's scored lists one query at a time, with the texts that the model read. Knows nothing of formats."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.base import files
from transforms.base.errors import UserError, one_line
from transforms.input.columns import resolve
from transforms.input.inputs import inspect
from transforms.input.parquet import of_footer, read_footer
from transforms.input.plan import Unit, load_plan, plan
from transforms.input.reader import read_shards
from transforms.input.regroup import regroup
from transforms.input.template import Template, parse_template, render, uses_title
from transforms.job.record import Job, in_job_order, reranking_job
from transforms.layout import SUCCESS, part_numbers
from transforms.output.parts import committed, scored_rows
from transforms.output.verification import gaps
from transforms.schema import Shard


class ScoredList(NamedTuple):
    """One query's scored documents, best first.

    Attributes:
        query_id: as in the output.
        query: its text; empty where no texts are read.
        documents: ids.
        scores: float32, one a document, descending.
        texts: of the documents, as the model read them; empty where no texts are read.
    """

    query_id: str
    query: str
    documents: list[str]
    scores: NDArray[np.float32]
    texts: list[str]


def finished_job(output: str) -> Job:
    """The record of a reranking job that has finished.

    Raises:
        UserError: there is none, or it has not finished.
    """
    job = reranking_job(output)
    if not files.exists(files.join(output, SUCCESS)):
        raise UserError(f"{output}: its job has not finished; give that job's command again first")
    return job


def read_lists(output: str, job: Job, *, texts: bool) -> Iterator[ScoredList]:
    """The lists of a finished job, in the order of its input; a part at a time is in memory.

    Texts come from the output's own columns `query`, `text` and `title` where the job kept what the model read of
    these, else from the input files that job.json names, which must be as the job found them.

    Args:
        output: the job's directory.
        job: its record.
        texts: whether texts are wanted.

    Raises:
        UserError: a part of the output is missing or damaged, or an input file is gone or has changed.
    """
    template = job.options.get("text_template")
    parsed = None if template is None else parse_template(template)
    parts = committed(output, job.fingerprint)
    for gap in gaps(output, parts):
        raise UserError(gap)
    names = list(parts)
    if not texts:
        for name in names:
            yield from _lists(_part(output, name, []), None, None)
        return
    kept = set(job.options.get("keep_columns", ()))
    if {"query", "text"} <= kept and ("title" in kept or not _has_titles(job, parsed)):
        for name in names:
            part = _part(output, name, ["query", "text", *(["title"] if "title" in kept else [])])
            yield from _lists(part, part["query"].to_pylist(), _texts(part, parsed))
        return
    for shard in _shards(output, job, parsed):
        if shard.name in parts:
            yield from _of_shard(_part(output, shard.name, []), shard)


def _has_titles(job: Job, template: Template | None) -> bool:
    """Whether the model read titles too, as far as the input files have such a column."""
    if not uses_title(template):
        return False
    for file in job.inputs:
        try:
            footer = read_footer(file.path)
        except OSError as error:
            raise UserError(
                f"{file.path}: cannot be read ({one_line(error)}), and its documents may have titles, which the job "
                "did not keep; put it back, or score it again with --keep_columns query,text,title"
            ) from error
        if footer.metadata.num_rows and "title" in resolve(of_footer(file.path, footer)).candidate:
            return True
    return False


def _part(output: str, name: str, further: list[str]) -> pa.Table:
    return scored_rows(output, name, ["query_id", "doc_id", "score", *further])


def _texts(part: pa.Table, template: Template | None) -> list[str]:
    text = part["text"].combine_chunks().cast(pa.string())
    title = part["title"].combine_chunks().cast(pa.string()) if "title" in part.column_names else None
    rendered: list[str] = render(
        template, pa.nulls(len(text), pa.string()) if title is None else title, text
    ).to_pylist()
    return rendered


def _lists(part: pa.Table, queries: list[str] | None, texts: list[str] | None) -> Iterator[ScoredList]:
    documents, scores = part["doc_id"].to_pylist(), part["score"].to_numpy()
    start = 0
    for query_id, run in groupby(part["query_id"].to_pylist()):
        end = start + sum(1 for _ in run)
        yield ScoredList(
            query_id,
            "" if queries is None else queries[start],
            documents[start:end],
            scores[start:end],
            [] if texts is None else texts[start:end],
        )
        start = end


def _of_shard(part: pa.Table, shard: Shard) -> Iterator[ScoredList]:
    """The part's lists with the texts of the shard that was scored for it."""
    ids, texts = shard.pairs["doc_id"].to_pylist(), shard.pairs["text"].to_pylist()
    places: dict[str, tuple[str, int, int]] = {}
    start = 0
    for query_id, query, pairs in zip(
        *(shard.queries[name].to_pylist() for name in ("query_id", "query", "n_pairs")), strict=True
    ):
        places[query_id] = query, start, start + pairs
        start += pairs
    for scored in _lists(part, None, None):
        query, first, after = places[scored.query_id]
        by_id = dict(zip(ids[first:after], texts[first:after], strict=True))
        yield scored._replace(query=query, texts=[by_id[document] for document in scored.documents])


def _shards(output: str, job: Job, template: Template | None) -> Iterator[Shard]:
    """The job's shards, read again from its input."""
    options: dict[str, Any] = dict(job.options)
    keep_columns = options.get("keep_columns", ())
    inputs = inspect([file.path for file in job.inputs], keep_columns)
    for file, stored in zip(in_job_order(job, inputs), job.inputs, strict=True):
        if (file.size, file.footer_hash) != (stored.size, stored.footer_hash):
            raise UserError(f"{file.path}: has changed since it was scored; put back what was there, or score it again")
    made = load_plan(output, inputs) or plan(inputs)
    units: tuple[Unit, ...] = made.units
    if not made.contiguous:
        units = plan(inspect(regroup(inputs, output, keep_columns), keep_columns)).units
    for unit in sorted(units, key=lambda unit: part_numbers(unit.name)):
        yield from read_shards(
            unit, keep_columns=keep_columns, text_template=template, shard_pairs=options.get("shard_pairs", 16_384)
        )
