"""A TREC run with its corpus and queries, joined into the reranking job's input without a job of its own."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.base import files
from transforms.base.errors import UserError
from transforms.layout import SUCCESS
from transforms.retrieval import join, queries, step_files
from transforms.retrieval.corpus import write_shards
from transforms.retrieval.source import DataSetFiles
from transforms.retrieval.trec_run import write_hits
from transforms.schema import PART_PAIRS

_SHARD_DOCUMENTS = 16_384
_RUN = "run"


class Joined(NamedTuple):
    """What became of a run.

    Attributes:
        paths: of the part files.
        queries: that are in the queries' files.
        pairs: of the run whose query and document are both there.
        without_text: hits of these queries whose document is not in the corpus.
    """

    paths: list[str]
    queries: int
    pairs: int
    without_text: int


def join_run(run: str, source: DataSetFiles, folder: str) -> Joined:
    """Joins a run with texts under a folder, all of its documents, or what is missing of that.

    Args:
        run: path of the run.
        source: the corpus and the queries.
        folder: of this run with these texts alone.

    Raises:
        UserError: a file cannot be read or is malformed, or they do not belong together.
    """
    if not files.exists(files.join(folder, SUCCESS)):
        step_files.sweep(folder)
        step_files.write(step_files.queries_path(folder), queries.read(source).table)
        hits = step_files.hits_path(folder, _RUN)
        if not files.exists(hits):
            write_hits(run, hits)
        shards = [
            name
            for index, file in enumerate(source.corpus)
            for name in write_shards(file, index, folder, _SHARD_DOCUMENTS)
        ]
        depth = _depth(hits)
        for _ in join.write_parts(folder, shards, [_RUN], depth=depth, exclude_identical_ids=False):
            pass
        files.delete_tree(files.join(folder, step_files.WORK))
        files.write_text_atomically(files.join(folder, SUCCESS), "")
    paths = join.parts(folder)
    counts = sum((Counter(step_files.record(path)) for path in paths), Counter())
    if not counts["pairs"]:
        raise UserError(f"{run}: no text for any of its queries and documents; do the files belong together?")
    return Joined(paths, counts["queries"], counts["pairs"], counts["not_in_corpus"])


def _depth(hits: str) -> int:
    """The documents of the query that has most."""
    with files.open_columns(hits) as stream:
        ids = pq.read_table(stream, columns=["query_id"], read_dictionary=["query_id"], use_threads=False)["query_id"]
    return min(PART_PAIRS, int(pc.max(ids.value_counts().field("counts")).as_py()))
