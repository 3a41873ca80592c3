"""The job that makes candidate lists: a data set and a first stage in, the input of the reranking job out.

    python -m pipelines.candidates --dataset beir/scifact --retriever bm25 --output OUT

Everything that can be checked is checked before the work begins. The same command again does what is missing.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from importlib import metadata
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines.candidates.options import ANSWERS, QRELS, REPORT
from pipelines.candidates.request import DENSE_FIELDS, CandidatesRequest
from pipelines.running import dataflow
from pipelines.running.model import specify_for_job
from pipelines.running.options import RUN_OPTIONS, is_given
from pipelines.running.progress_line import progress_line
from pipelines.running.runner import run_graph, runner_of
from pipelines.running.stopping import stop_on_interrupt
from transforms.base import files
from transforms.base.errors import UnavailableError, UserError, one_line
from transforms.job import directory
from transforms.job import record as job
from transforms.layout import CANDIDATES_DIRECTORY, SUCCESS, Layout
from transforms.retrieval import bm25, corpus, join
from transforms.retrieval import queries as query_files
from transforms.retrieval import step_files as work
from transforms.retrieval.queries import Queries
from transforms.retrieval.source import Source, of_dataset, of_files
from transforms.retrieval.transform import Bm25, Candidates, Dense, Run, Settings
from transforms.scoring.catalogue import licence_notice
from transforms.scoring.text_encoder import embeds

LAYOUT = Layout(
    kind="candidates",
    parts=(CANDIDATES_DIRECTORY,),
    numbers=1,
    files=(SUCCESS, REPORT, QRELS, ANSWERS),
    steps=(work.WORK,),
)
_PACKAGES = ("offline-rerank", "apache-beam", "bm25s", "PyStemmer", "duckdb", "pyarrow", "torch", "transformers")


def build(
    pipeline: beam.Pipeline, source: Source, retriever: Run | Bm25 | Dense, settings: Settings
) -> beam.pvalue.PCollection[int]:
    """The job's graph: files of a corpus to committed part files; emits their numbers."""
    parts: beam.pvalue.PCollection[int] = (
        pipeline
        | "Corpus" >> beam.Create(list(enumerate(source.corpus)))
        | "Candidates" >> Candidates(settings, retriever)
    )
    return parts


def do_job(request: CandidatesRequest, beam_options: PipelineOptions) -> int:
    """Do the job, or what is missing of it; returns the exit code.

    Raises:
        UserError: a mistake that the user can fix.
        KeyboardInterrupt: the user stopped it.
    """
    runner, local = runner_of(beam_options)
    output = files.absolute(request.output)
    begun = None if request.overwrite else job.read_job(output)
    if request.dataset:
        revisions = begun.options.get("revisions") if begun else None
        source = of_dataset(request.dataset, request.split, request.data_dir, revisions)
    else:
        source = of_files(request.corpus, request.queries, request.qrels, output)
    source = replace(source, language=request.language or source.language)
    kind, name = request.retriever
    read = [file.path for file in (*source.corpus, *source.queries, *source.qrels)]
    directory.check_inputs(output, [*read, name] if kind == "run" else read, LAYOUT)
    exclude = request.exclude_identical_ids
    settings = Settings(
        output,
        request.depth,
        source.exclude_identical_ids if exclude is None else exclude,
        request.shard_documents,
    )
    retriever, identity, execution = first_stage(request, source, begun, elsewhere=not local)
    if isinstance(retriever, Dense):
        retriever = replace(retriever, resource_hints=dataflow.take_scoring_hints(beam_options))
    wanted = new_job(request, source, settings, identity, execution)
    requested = {name: execution[name] for name in RUN_OPTIONS if is_given(request, name)}
    with job.open_job(output, wanted, requested=requested, overwrite=request.overwrite, layout=LAYOUT) as current:
        report = files.join(output, REPORT)
        if not (files.exists(files.join(output, SUCCESS)) and files.exists(report)):
            with nothing_left_of_a_mistake(output):
                start = time.monotonic()
                work.sweep(output)
                if isinstance(retriever, Dense) and retriever.embeddings:
                    work.sweep_shared(retriever.embeddings)
                write_queries(output, query_files.read(source))
                slow = isinstance(retriever, Dense)
                with stop_on_interrupt(local) as folder, progress_line(folder if slow else None, None, 0, "document"):
                    graph = partial(
                        build, source=source, retriever=retriever, settings=replace(settings, progress_folder=folder)
                    )
                    run_graph(graph, runner, beam_options, "candidates")
                finish(output, current, settings, time.monotonic() - start)
        files.delete_tree(files.join(output, work.WORK))
        print(summary(output, json.loads(files.read_text(report))))
    return 0


@contextmanager
def nothing_left_of_a_mistake(output: str) -> Iterator[None]:
    """Where the body fails for what the user is to correct and no candidates were made, clear the directory: the
    corrected command is another job, which would find this one's there."""
    try:
        yield
    except UnavailableError:
        raise
    except UserError:
        names = (name for name in files.list_names(files.join(output, CANDIDATES_DIRECTORY)) if LAYOUT.is_part(name))
        if not any(work.record(files.join(output, CANDIDATES_DIRECTORY, name)).get("pairs") for name in names):
            directory.clear(output, LAYOUT)
        raise


def first_stage(
    request: CandidatesRequest, source: Source, begun: job.Job | None, elsewhere: bool = False
) -> tuple[Run | Bm25 | Dense, dict[str, Any], dict[str, Any]]:
    """The first stage, what decides its scores, and how its arithmetic runs; the last as in the job that is continued.

    Raises:
        UserError: the run or the model is unavailable.
    """
    kind, name = request.retriever
    if kind == "bm25":
        return Bm25(source.language), bm25.settings(source.language), {}
    if kind == "run":
        path = files.absolute(name)
        try:
            digest = files.sha256(path)
        except files.FAILURES as error:
            raise UserError(f"--retriever run:{name}: {one_line(error)}; give a TREC run") from error
        return Run(path), {"kind": "run", "path": path, "sha256": digest}, {}
    specification = specify_for_job(name, request, DENSE_FIELDS, begun, elsewhere)
    if not embeds(specification):
        raise UserError(f"--retriever dense:{name}: it gives no embeddings of texts; give a sentence encoder")
    if notice := licence_notice(specification.model):
        print(notice, file=sys.stderr)
    identity = {"kind": "dense", "name": name, **specification.fingerprint()}
    execution = asdict(specification.execution)
    decisive = {name: value for name, value in execution.items() if name != "passed_over"}  # informational
    kept = request.embeddings and embeddings_path(request, source, specification.fingerprint() | decisive)
    return Dense(specification, kept), identity, execution


def embeddings_path(request: CandidatesRequest, source: Source, encoder: Mapping[str, Any]) -> str:
    """Where a corpus' embeddings are kept: another directory for each corpus, encoder and way to run it."""
    assert request.embeddings is not None
    read = [[file.size, file.digest] for file in source.corpus]
    identity = json.dumps([read, request.shard_documents, encoder], sort_keys=True)
    return files.join(files.absolute(request.embeddings), hashlib.sha256(identity.encode()).hexdigest()[:16])


def new_job(
    request: CandidatesRequest,
    source: Source,
    settings: Settings,
    first_stage: Mapping[str, Any],
    execution: Mapping[str, Any],
) -> job.Job:
    """What job.json is to say: all that decides the part files."""
    read = [*source.corpus, *source.queries, *source.qrels]
    return job.new_job(
        [],
        kind=LAYOUT.kind,
        model=first_stage,
        options={
            "dataset": source.name,
            "split": source.split,
            "files": {file.name: f"{file.size} bytes, {file.digest}" for file in read},
            "revisions": dict(source.revisions),
            "question_language": source.question_language,
            "depth": settings.depth,
            "exclude_identical_ids": settings.exclude_identical_ids,
            "shard_documents": settings.shard_documents,
        },
        execution=execution,
        command=vars(request),
    )


def write_queries(output: str, queries: Queries) -> None:
    """The queries for the steps, and their judgements or answers for the evaluation."""
    work.write(work.queries_path(output), queries.table)
    if queries.judgements:
        lines = (
            f"{query_id}\t0\t{doc_id}\t{grade}\n"
            for query_id, judged in queries.judgements.items()
            for doc_id, grade in judged.items()
        )
        files.write_text_atomically(files.join(output, QRELS), "".join(lines))
    if queries.answers:
        rows = ({"query_id": query_id, "answers": answers} for query_id, answers in queries.answers.items())
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        files.write_text_atomically(files.join(output, ANSWERS), text)


def finish(output: str, current: job.Job, settings: Settings, seconds: float) -> None:
    """Write candidates.json and _SUCCESS, the latter last.

    Raises:
        UserError: there are no documents, no hit's document is among them, or the run has none of the queries.
    """
    counts = count(output, settings.depth)
    if not counts["corpus_documents"]:
        raise UserError("the corpus has no documents; give one that has")
    if counts["hits_not_in_corpus"] and not counts["pairs"]:
        raise UserError("none of the documents that the first stage names is in the corpus; do they belong together?")
    if current.model["kind"] == "run" and not counts["pairs"]:
        raise UserError("none of the queries is in the run; do they belong together?")
    options = dict(current.options)
    report = {
        **{name: options.pop(name) for name in ("dataset", "split")},
        "source": {name: options.pop(name) for name in ("revisions", "files")},
        "retriever": current.model,
        "execution": current.execution,
        **options,
        **counts,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "created": current.created,
        "seconds": round(seconds, 1),
    }
    files.write_text_atomically(files.join(output, REPORT), json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    files.write_text_atomically(files.join(output, SUCCESS), "")


def count(output: str, depth: int) -> dict[str, int]:
    """The counts of the committed files, summed up.

    Raises:
        RuntimeError: not all of them are there.
    """
    queries = len(work.read(work.queries_path(output)))
    total: Counter[str] = Counter()
    for part in range(join.number_of_parts(queries, depth)):
        total.update(work.record(join.part_path(output, part)))
    for names in corpus.shards_of(output).values():
        for name in names:
            total.update(work.record(work.corpus_path(output, name)))
    not_embedded = 0
    for file in work.hit_files(output):
        counts = Counter(work.record(work.hits_path(output, file.removesuffix(".parquet"))))
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


def version(package: str) -> str | None:
    """Of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return None


def summary(output: str, report: Mapping[str, Any]) -> str:
    """What people want to know of the finished job."""
    lines = [
        f"queries    {report['queries']:,}, {report['queries_without_candidates']:,} of them without candidates",
        f"candidates {report['pairs']:,} of {report['corpus_documents']:,} documents",
        f"written    {files.join(output, CANDIDATES_DIRECTORY)}, {REPORT} beside it",
    ]
    if report["hits_not_in_corpus"]:
        lines.append(f"missing    {report['hits_not_in_corpus']:,} hits, whose documents are not in the corpus")
    if report["corpus_documents_without_text"] or report["corpus_documents_not_embedded"]:
        lines.append(
            f"left out   {report['corpus_documents_without_text']:,} documents without a text, "
            f"{report['corpus_documents_not_embedded']:,} that could not be embedded"
        )
    if report["queries_not_embedded"]:
        lines.append(f"not found  {report['queries_not_embedded']:,} queries could not be embedded: no candidates")
    return "\n".join(lines)
