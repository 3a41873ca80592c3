"""The job that makes candidate lists: a data set and a first stage in, the input of the reranking job out.

    python -m pipelines.candidates --dataset beir/scifact --retriever bm25 --output OUT

Everything that can be checked is checked before the work begins. The same command again does what is missing.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import apache_beam as beam

from pipelines.candidates.inputs import LAYOUT, CandidatesInputs
from pipelines.candidates.options import ANSWERS, QRELS, REPORT, build_parser
from pipelines.candidates.report import count, report_of, summary
from pipelines.candidates.request import CandidatesRequest
from pipelines.running import dataflow
from pipelines.running.model import specify_for_job
from pipelines.running.progress_line import progress_line
from pipelines.running.runner import Runner, prepare_runner, run_graph
from pipelines.running.stopping import stop_on_interrupt
from transforms.base import files
from transforms.base.errors import UnavailableError, UserError
from transforms.base.json_text import indented, sha256
from transforms.job import directory, record
from transforms.layout import CANDIDATES_DIRECTORY, SUCCESS
from transforms.retrieval import bm25, queries, step_files
from transforms.retrieval.queries import Queries
from transforms.retrieval.source import DataSetFiles
from transforms.retrieval.transform import Bm25, Dense, Retrieve, StepSettings, TrecRun
from transforms.scoring.catalogue import licence_notice
from transforms.scoring.text_encoder import embeds


def build(
    pipeline: beam.Pipeline, source: DataSetFiles, retriever: TrecRun | Bm25 | Dense, settings: StepSettings
) -> beam.pvalue.PCollection[int]:
    """The job's graph: files of a corpus to committed part files; emits their numbers."""
    parts: beam.pvalue.PCollection[int] = (
        pipeline
        | "Corpus" >> beam.Create(list(enumerate(source.corpus)))
        | "Candidates" >> Retrieve(settings, retriever)
    )
    return parts


@dataclass(frozen=True)
class Prepared:
    """A job of which everything is checked that can be before it begins.

    Attributes:
        request: what was asked for.
        runner: what runs it.
        output: the job's directory, absolute.
        source: the files of the data set.
        settings: of all steps.
        retriever: the first stage.
        wanted: what job.json is to say.
    """

    request: CandidatesRequest
    runner: Runner
    output: str
    source: DataSetFiles
    settings: StepSettings
    retriever: TrecRun | Bm25 | Dense
    wanted: record.Job


def prepare(request: CandidatesRequest, words: Sequence[str], inputs: CandidatesInputs) -> Prepared:
    """Check all else that can be checked before the work begins; nothing is written to the output.

    Args:
        request: what to do.
        words: options of Beam's runner, as on a command line.
        inputs: the job's files.

    Raises:
        UserError: a mistake that the user can fix.
    """
    runner = prepare_runner(request, words, build_parser())
    output, source = inputs.output, inputs.source
    exclude = request.exclude_identical_ids
    settings = StepSettings(
        output,
        request.depth,
        source.exclude_identical_ids if exclude is None else exclude,
        request.shard_documents,
    )
    retriever, identity, execution = first_stage(request, inputs, remote=not runner.local)
    if isinstance(retriever, Dense):
        retriever = replace(retriever, resource_hints=dataflow.take_scoring_hints(runner.options))
    wanted = new_job(request, source, settings, identity, execution)
    return Prepared(request, runner, output, source, settings, retriever, wanted)


def run(prepared: Prepared) -> None:
    """Make what is missing, and finish the job.

    Raises:
        UserError: a mistake that shows only now.
        KeyboardInterrupt: the user stopped it.
    """
    request, output, wanted = prepared.request, prepared.output, prepared.wanted
    requested = {name: wanted.execution[name] for name in request.run_options()}
    with record.open_job(output, wanted, requested=requested, overwrite=request.overwrite, layout=LAYOUT) as current:
        report = files.join(output, REPORT)
        if not (files.exists(files.join(output, SUCCESS)) and files.exists(report)):
            with nothing_left_of_a_mistake(output):
                start = time.monotonic()
                make_candidates(prepared)
                finish(output, current, prepared.settings, time.monotonic() - start)
        files.delete_tree(files.join(output, step_files.WORK))
        print(summary(request.output, json.loads(files.read_text(report))))


def make_candidates(prepared: Prepared) -> None:
    """Write the part files that are missing."""
    output, source, retriever, runner = prepared.output, prepared.source, prepared.retriever, prepared.runner
    step_files.sweep(output)
    if isinstance(retriever, Dense) and retriever.embeddings:
        step_files.sweep_shared(retriever.embeddings)
    write_queries(output, queries.read(source))
    slow = isinstance(retriever, Dense)
    with stop_on_interrupt(runner.local) as folder, progress_line(folder if slow else None, None, 0, "document"):
        settings = replace(prepared.settings, progress_folder=folder)
        run_graph(partial(build, source=source, retriever=retriever, settings=settings), runner, "candidates")


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
        if not any(step_files.record(files.join(output, CANDIDATES_DIRECTORY, name)).get("pairs") for name in names):
            directory.clear(output, LAYOUT)
        raise


def first_stage(
    request: CandidatesRequest, inputs: CandidatesInputs, remote: bool = False
) -> tuple[TrecRun | Bm25 | Dense, dict[str, Any], dict[str, Any]]:
    """The first stage, what decides its scores, and how its arithmetic runs; the last as in the job that is continued.

    Raises:
        UserError: the model is unavailable.
    """
    kind, name = request.retriever
    source = inputs.source
    if kind == "bm25":
        return Bm25(source.language), bm25.settings(source.language), {}
    if kind == "run":
        path = files.absolute(name)
        return TrecRun(path), {"kind": "run", "path": path, "sha256": inputs.run_digest}, {}
    specification = specify_for_job(name, request, request.dense_options(), inputs.previous, remote)
    if not embeds(specification):
        raise UserError(f"--retriever dense:{name}: it gives no embeddings of texts; give a sentence encoder")
    if notice := licence_notice(specification.model):
        print(notice, file=sys.stderr)
    identity = {"kind": "dense", "name": name, **specification.fingerprint()}
    execution = asdict(specification.execution)
    # Without what is informational, or of no effect on embeddings: kept ones are found again by these.
    decisive = {name: value for name, value in execution.items() if name not in ("passed_over", "fills_heads")}
    directory = request.embeddings and embeddings_path(request, source, specification.fingerprint() | decisive)
    return Dense(specification, directory), identity, execution


def embeddings_path(request: CandidatesRequest, source: DataSetFiles, encoder: Mapping[str, Any]) -> str:
    """Where a corpus' embeddings are kept: another directory for each corpus, encoder and way to run it."""
    assert request.embeddings is not None
    read = [[file.size, file.digest] for file in source.corpus]
    named = [dict(file.columns) for file in source.corpus if file.columns]
    identity = sha256([read, request.shard_documents, encoder, *named])
    return files.join(files.absolute(request.embeddings), identity[:16])


def new_job(
    request: CandidatesRequest,
    source: DataSetFiles,
    settings: StepSettings,
    first_stage: Mapping[str, Any],
    execution: Mapping[str, Any],
) -> record.Job:
    """What job.json is to say: all that decides the part files."""
    read = [*source.corpus, *source.queries, *source.qrels]
    return record.new_job(
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
            **({"columns": request.columns} if request.columns else {}),
        },
        execution=execution,
        command=vars(request),
    )


def write_queries(output: str, read: Queries) -> None:
    """The queries for the steps, and their judgements or answers for the evaluation."""
    step_files.write(step_files.queries_path(output), read.table)
    if read.judgements:
        lines = (
            f"{query_id}\t0\t{doc_id}\t{grade}\n"
            for query_id, judged in read.judgements.items()
            for doc_id, grade in judged.items()
        )
        files.write_text_atomically(files.join(output, QRELS), "".join(lines))
    if read.answers:
        rows = ({"query_id": query_id, "answers": answers} for query_id, answers in read.answers.items())
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        files.write_text_atomically(files.join(output, ANSWERS), text)


def finish(output: str, current: record.Job, settings: StepSettings, seconds: float) -> None:
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
    content = indented(report_of(current, counts, seconds))
    files.write_text_atomically(files.join(output, REPORT), content)
    files.write_text_atomically(files.join(output, SUCCESS), "")
