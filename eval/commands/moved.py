"""For `compare --texts`: the documents that moved in the most changed queries, with their texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eval.export.lists import finished_job, read_lists
from eval.ranking.moved import moved, rankings
from eval.ranking.runs import open_source
from transforms.base import files
from transforms.base.errors import UserError
from transforms.job.record import Job


def jobs_of(locations: Sequence[str]) -> dict[str, Job]:
    """Those of the compared locations that can have texts: output directory -> its job's record.

    Raises:
        UserError: there is none, or a job has not finished.
    """
    jobs = {location: finished_job(location) for location in locations if files.is_directory(location)}
    if not jobs:
        raise UserError(
            f"--texts: {', '.join(locations)}: are runs, whose documents have no texts; compare at least one job's "
            "output directory"
        )
    return jobs


def add_moved(
    rows: Sequence[Mapping[str, Any]],
    locations: Mapping[str, str],
    jobs: Mapping[str, Job],
    grades: Mapping[str, Mapping[str, int]],
    exclude_identical_ids: bool,
) -> None:
    """Adds to each changed query of some comparisons its text as `query`, and the documents that `moved` as such.

    A text is None where no job has it: a job's output lacks rejected documents and those that --top_k left out.

    Args:
        rows: comparisons, as of `comparison.comparison_rows`.
        locations: name of a run -> where it is; the first is the baseline.
        jobs: as of `jobs_of`.
        grades: query id -> document id -> grade.
        exclude_identical_ids: leave out documents whose id is the query's.

    Raises:
        UserError: a job's input is gone or has changed, so that texts are unknown.
    """
    changed = [(row["run"], entry) for row in rows for entry in row["changed"]]
    wanted = {entry["query_id"] for _, entry in changed}
    orders = {
        name: rankings(open_source(location), wanted, exclude_identical_ids) for name, location in locations.items()
    }
    baseline = orders[next(iter(orders))]
    for run, entry in changed:
        query_id = entry["query_id"]
        entry["moved"] = moved(baseline.get(query_id, []), orders[run].get(query_id, []), grades[query_id])
    pairs = {(entry["query_id"], document["doc_id"]) for _, entry in changed for document in entry["moved"]}
    queries, texts = _texts(jobs, pairs)
    for _, entry in changed:
        entry["query"] = queries.get(entry["query_id"])
        for document in entry["moved"]:
            document["text"] = texts.get((entry["query_id"], document["doc_id"]))


def _texts(jobs: Mapping[str, Job], pairs: set[tuple[str, str]]) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    """Query id -> text and (query id, document id) -> text, read job by job until all are there."""
    queries: dict[str, str] = {}
    texts: dict[tuple[str, str], str] = {}
    wanted = {query_id for query_id, _ in pairs}
    for output, job in jobs.items():
        if len(texts) == len(pairs):
            break
        for scored in read_lists(output, job, texts=True):
            if scored.query_id not in wanted:
                continue
            queries[scored.query_id] = scored.query
            for document, text in zip(scored.documents, scored.texts, strict=True):
                if (scored.query_id, document) in pairs:
                    texts[scored.query_id, document] = text
            if len(texts) == len(pairs):
                break
    return queries, texts
