"""Measure a job's output or a TREC run against relevance judgements, or by the answers in its passages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from eval.commands.requests import MeasureRequest, RelevanceRequest
from eval.ranking.evaluation import EXAMPLES, Evaluation, evaluate
from eval.ranking.files import write_json, write_table
from eval.ranking.relevance import DEFAULT_MEASURES, Relevance, by_answers, by_qrels
from eval.ranking.report import count, count_notes, grade_notes, mean_rows, query_rows
from eval.ranking.runs import QueryRankings, RankedLists, nothing_in, open_source
from eval.ranking.summary import render
from transforms.base.errors import UserError
from transforms.base.versions import versions
from transforms.input.named import input_files
from transforms.layout import JOB, RERANKING


def run(request: MeasureRequest) -> None:
    """Measures, prints the summary, and writes the files asked for.

    Raises:
        UserError: an argument or an input is wrong.
        OSError: a file cannot be read or written.
    """
    source = open_source(request.input)
    check_not_read(request.outputs(), files_read(request, [request.input], [source]))
    relevance = read_relevance(request, DEFAULT_MEASURES, source.job)
    measures = relevance.measures
    evaluation = evaluate_source(request.input, source, source.stages, relevance, request.exclude_identical_ids)

    queries = [
        query for query in relevance.judgements.grades if query in evaluation.answered or not request.only_run_queries
    ]
    counts = count(evaluation, relevance.judgements) | relevance.counts
    report = {
        "input": request.input,
        **relevance.provenance,
        "only_run_queries": request.only_run_queries,
        "exclude_identical_ids": request.exclude_identical_ids,
        "measures": mean_rows(evaluation, measures, queries),
        "counts": counts,
        "notes": source.notes + count_notes(counts, relevance.kind) + grade_notes(relevance.judgements),
        "versions": versions(("ir_measures", "pytrec-eval-terrier")),
        "job": source.job,
    }
    print(render(report))
    if request.per_query:
        write_table(request.per_query, query_rows(evaluation, measures, queries))
    if request.json:
        write_json(request.json, report)


def read_relevance(request: RelevanceRequest, measures: Sequence[str], job: Mapping[str, Any]) -> Relevance:
    """What the request says, with the candidates of `job` where they name none.

    Raises:
        UserError: an argument or a file is wrong.
    """
    if request.answers:
        return by_answers(request.answers, request.measures, request.candidates, job)
    assert request.qrels is not None  # the parser asks for either
    return by_qrels(request.qrels, request.measures or measures)


def evaluate_source(
    location: str, source: RankedLists, stages: Sequence[str], relevance: Relevance, exclude_identical_ids: bool
) -> Evaluation:
    """Measures stages of a source; `location` is what it is called.

    Raises:
        UserError: no query of it is known, or the text of a document is not.
    """
    grades = relevance.judgements.grades

    def checked() -> Iterator[QueryRankings]:
        for candidates in source.lists:
            if relevance.listed is not None and candidates.query_id in grades:
                documents = [document for _, document in candidates.stages[stages[0]]]
                missing = relevance.listed.missing(candidates.query_id, documents)
                if missing:
                    raise UserError(
                        f"{location}: query {candidates.query_id!r} lists {missing[0]!r}, which the candidate files do "
                        "not; give all files that it was made from as --candidates"
                    )
            yield candidates

    evaluation = evaluate(checked(), stages, [*relevance.measures.values()], grades, exclude_identical_ids)
    if not evaluation.answered:
        raise _nothing_in_common(location, relevance, evaluation.unjudged, list(islice(grades, EXAMPLES)))
    return evaluation


def files_read(request: RelevanceRequest, locations: Sequence[str], sources: Sequence[RankedLists]) -> list[str | None]:
    """What a command reads, or would by another one of its options: what its outputs may not replace."""
    candidates = []
    if request.answers and request.candidates:
        candidates = input_files(request.candidates)
    jobs = [entry["path"] for source in sources for entry in source.job.get("inputs", [])]
    return [*locations, request.qrels, request.answers, *candidates, *jobs]


def check_not_read(outputs: Mapping[str, Path | None], inputs: Iterable[str | None]) -> None:
    """Finds before the work that one of its files would replace what it reads.

    Args:
        outputs: option -> the file that it names, None where it is not given.
        inputs: what the command reads, files and outputs of jobs; None for what is not given.

    Raises:
        UserError: one does.
    """
    read = {Path(location).resolve() for location in inputs if location}
    for option, path in outputs.items():
        if path is not None and _is_read(path.resolve(), read):
            raise UserError(f"{option} {path}: is a file that is read here; give the name of another")


def _is_read(path: Path, read: Collection[Path]) -> bool:
    """Whether a file is among what is read, or what a job keeps in a directory that is."""
    folder = path.parent
    return (
        path in read
        or (folder in read and path.name in (JOB, *RERANKING.files))
        or (folder.parent in read and folder.name in RERANKING.parts)
    )


def _nothing_in_common(location: str, relevance: Relevance, theirs: Sequence[str], ours: Sequence[str]) -> UserError:
    """Why there is nothing to average: the means would be zeros that look like a result."""
    if not theirs:
        return nothing_in(location)
    kind = relevance.kind
    return UserError(
        f"{location} and {relevance.provenance[kind]} have no query in common: it has ids like "
        f"{', '.join(map(repr, theirs))}, the {kind} like {', '.join(map(repr, ours))}; give the {kind} of this "
        "collection"
    )
