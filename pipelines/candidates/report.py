"""What a candidates job made, counted: candidates.json, and its lines for people."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipelines.candidates.options import REPORT
from transforms.base import files
from transforms.base.versions import versions
from transforms.base.words import number_of
from transforms.job.record import Job
from transforms.layout import CANDIDATES_DIRECTORY
from transforms.retrieval import corpus, join, step_files

_PACKAGES = ("offline-rerank", "apache-beam", "bm25s", "PyStemmer", "duckdb", "pyarrow", "torch", "transformers")


def report_of(current: Job, counts: Mapping[str, int], seconds: float) -> dict[str, Any]:
    """The contents of candidates.json.

    Args:
        current: the job.
        counts: what `count` gives.
        seconds: that its last run took.
    """
    options = dict(current.options)
    return {
        **{name: options.pop(name) for name in ("dataset", "split")},
        "source": {name: options.pop(name) for name in ("revisions", "files")},
        "retriever": current.model,
        "execution": current.execution,
        **options,
        **counts,
        "versions": {"python": platform.python_version()} | versions(_PACKAGES),
        "created": current.created,
        "seconds": round(seconds, 1),
    }


def count(output: str, depth: int) -> dict[str, int]:
    """The counts of the committed files, summed up.

    Raises:
        RuntimeError: not all of them are there.
    """
    queries = len(step_files.read(step_files.queries_path(output)))
    total: Counter[str] = Counter()
    for part in range(join.number_of_parts(queries, depth)):
        total.update(step_files.record(join.part_path(output, part)))
    for names in corpus.shards_of(output).values():
        for name in names:
            total.update(step_files.record(step_files.corpus_path(output, name)))
    not_embedded = 0
    for file in step_files.hit_files(output):
        counts = Counter(step_files.record(step_files.hits_path(output, file.removesuffix(".parquet"))))
        not_embedded = counts.pop("queries_not_embedded", 0)  # the same in each, which has all queries
        total.update(counts)
    return {
        "queries": total["queries"],
        "queries_without_candidates": total["without_candidates"],
        "queries_not_embedded": not_embedded,
        "pairs": total["pairs"],
        "corpus_documents": total["documents"],
        "corpus_documents_without_text": total["without_text"],
        "corpus_documents_not_embedded": total["not_embedded"],
        "hits_not_in_corpus": total["not_in_corpus"],
    }


def summary(output: str, report: Mapping[str, Any]) -> str:
    """What people want to know of the finished job."""
    lines = [
        f"queries    {report['queries']:,}, {report['queries_without_candidates']:,} of them without candidates",
        f"candidates {report['pairs']:,}, from a corpus of "
        f"{number_of(report['corpus_documents'], 'document', 'documents')}",
        f"written    {files.join(output, CANDIDATES_DIRECTORY)}, {REPORT} beside it",
    ]
    if report["hits_not_in_corpus"]:
        hits = number_of(report["hits_not_in_corpus"], "hit", "hits")
        lines.append(f"missing    {hits} with a document that is not in the corpus")
    if report["corpus_documents_without_text"] or report["corpus_documents_not_embedded"]:
        lines.append(
            f"left out   {number_of(report['corpus_documents_without_text'], 'document', 'documents')} without a text, "
            f"{report['corpus_documents_not_embedded']:,} not embedded"
        )
    if report["queries_not_embedded"]:
        queries = number_of(report["queries_not_embedded"], "query", "queries")
        lines.append(f"not found  {queries} without candidates: not embedded")
    return "\n".join(lines)
