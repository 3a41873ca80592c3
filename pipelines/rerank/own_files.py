"""The input in forms other than the job's own Parquet, which is converted before the job begins."""

from __future__ import annotations

import sys
from collections.abc import Sequence, Set

import pyarrow.parquet as pq

from pipelines.rerank.request import RerankRequest
from transforms.base import files
from transforms.base.text import reading
from transforms.base.words import number_of
from transforms.input.conversion.convert import convert, place, reader_of
from transforms.input.conversion.data_set import convert_data_set
from transforms.input.data_sets import parse_data_set
from transforms.input.names import ACCEPTED, ColumnNames, parse_columns
from transforms.input.parquet import SOURCE
from transforms.job import directory
from transforms.retrieval.joined import join_run
from transforms.retrieval.source import of_files


def converted(request: RerankRequest, output: str, named: Sequence[str], folder: str, known: Set[str]) -> list[str]:
    """The Parquet files that the job reads: those given, and in place of others what they are converted into.

    Args:
        request: of the job.
        output: its directory.
        named: the input files.
        folder: for the converted ones.
        known: input files of the job that is continued.

    Raises:
        UserError: a file cannot be read or is not what it should be, or has changed since the job began.
    """
    if request.corpus:
        return joined(request, output, named, folder, known)
    names = ColumnNames(parse_columns(request.columns, ACCEPTED), request.keep_columns)
    if request.dataset:
        data = parse_data_set(request.dataset)
        made = convert_data_set(data, folder, names, known)
        if made not in known:
            say_read(made)
        return [made]
    others = {path for path in named if reader_of(path, names)}
    if not others:
        return list(named)
    paths = []
    for path in named:
        made = convert(path, folder, names, known)
        if path in others and made not in known:
            say_read(made)
        paths.append(made)
    return paths


def say_read(made: str) -> None:
    """What a converted file is made of, and how many rows."""
    with files.open_columns(made) as stream:
        metadata = pq.read_metadata(stream)
    print(f"read {metadata.metadata[SOURCE].decode()}: {number_of(metadata.num_rows, 'row', 'rows')}", file=sys.stderr)


def joined(request: RerankRequest, output: str, runs: Sequence[str], folder: str, known: Set[str]) -> list[str]:
    """The Parquet files that TREC runs give with their texts; arguments and errors as of `converted`."""
    columns = parse_columns(request.columns, ACCEPTED)
    source = of_files(request.corpus, request.queries, (), output, columns)
    read = [*source.corpus, *source.queries]
    directory.check_inputs(output, [file.path for file in read])
    paths: list[str] = []
    for run in runs:
        with reading(run):
            content = [files.identify(run), *([file.size, file.digest] for file in read)]
        target = place(run, folder, [columns, [file.path for file in read]], content, known)
        made = join_run(run, source, target)
        if known.isdisjoint(made.paths):
            print(
                f"read {run}: {number_of(made.pairs, 'pair', 'pairs')} of "
                f"{number_of(made.queries, 'query', 'queries')}, {made.without_text:,} without a text in the corpus",
                file=sys.stderr,
            )
        paths += made.paths
    return paths
