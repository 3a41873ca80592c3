"""A data set's candidates for a benchmark: those that the user names, or those that pipelines.candidates makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eval.ranking.job_output import judged_queries
from eval.table.cells import safe_name
from pipelines.benchmark.data_sets import BenchmarkDataSet
from pipelines.benchmark.entrants import CODE_MODEL, FirstStage, code_task, first_stage
from pipelines.benchmark.request import BenchmarkRequest
from pipelines.benchmark.subprocess_job import ApartError, run_apart
from pipelines.candidates import do_job
from pipelines.candidates.options import ANSWERS, QRELS, REPORT, retriever
from pipelines.candidates.request import CandidatesRequest
from pipelines.running.request import RunRequest
from transforms.base import files
from transforms.base.errors import UserError
from transforms.base.json_text import parse
from transforms.base.request import values_of
from transforms.input.inputs import InputFile, inspect, total_pairs
from transforms.input.named import input_files
from transforms.layout import CANDIDATES_DIRECTORY, SUCCESS
from transforms.retrieval import datasets
from transforms.scoring import catalogue

CANDIDATES = "candidates"  # of all data sets, in the directory of results
EMBEDDINGS = "embeddings"
LANGUAGE = "lang"  # a column of the queries that names their language


@dataclass(frozen=True)
class CandidateFiles:
    """A data set's candidates, made and inspected.

    Attributes:
        data: the data set.
        inputs: the files as their footers describe them.
        judgements: path of the judgements.
        retriever: what made the candidates; None where they were there.
        provenance: what made them says of them; empty likewise.
    """

    data: BenchmarkDataSet
    inputs: tuple[InputFile, ...]
    judgements: str
    retriever: str | None
    provenance: Mapping[str, Any]

    @property
    def pairs(self) -> int | None:
        """Pairs of all lists; None if the files do not say."""
        return total_pairs(self.inputs)

    @cached_property
    def judgements_sha256(self) -> str:
        return files.sha256(self.judgements)

    @cached_property
    def languages(self) -> dict[str, str]:
        """Query id -> language, where the candidates have a column of it."""
        return {query: language for query, language in texts(self.inputs, "query_id", LANGUAGE) if query and language}


def texts(inputs: Iterable[InputFile], *columns: str) -> Iterator[tuple[str | None, ...]]:
    """The rows of some columns as text; none of files that lack one of them."""
    for file in inputs:
        with files.open_columns(file.path) as stream:
            parquet = pq.ParquetFile(stream)
            if not set(columns) <= set(parquet.schema_arrow.names):
                continue
            for number in range(parquet.num_row_groups):
                with suppress(OSError, pa.ArrowException):  # a damaged row group, which the job reports
                    table = parquet.read_row_group(number, list(columns))
                    yield from zip(*(table[name].cast(pa.string()).to_pylist() for name in columns), strict=True)


def check_languages(inputs: Iterable[InputFile]) -> None:
    """Make sure that a column of languages, where there is one, has one text a query.

    Raises:
        UserError: it has another type.
    """
    for file in inputs:
        with files.open_columns(file.path) as stream:
            schema = pq.ParquetFile(stream).schema_arrow
        if LANGUAGE in schema.names and pa.types.is_nested(kind := schema.field(LANGUAGE).type):
            raise UserError(f"{file.path}: column {LANGUAGE} is {kind}; give it a text a query, or another name")


def look_at(
    data: BenchmarkDataSet, candidates: str, judgements: str, retriever: str | None = None, directory: str | None = None
) -> CandidateFiles:
    """A data set's candidates and judgements.

    Args:
        data: the data set.
        candidates: path or glob of Parquet files.
        judgements: path of the judgements.
        retriever: what made the candidates, where the benchmark did.
        directory: in which it recorded what it did; where it is not given it is searched for.

    Raises:
        UserError: something is not there, is malformed, or does not belong together.
    """
    if not files.exists(files.absolute(judgements)):
        raise UserError(f"data set {data.name}: no judgements {judgements}; check the path")
    inputs = tuple(inspect(input_files([candidates])))
    check_languages(inputs)
    report = report_in(directory or made_in(inputs))
    if directory and not report:
        raise UserError(
            f"{files.join(directory, REPORT)} is missing or damaged; delete {directory} to make the candidates anew"
        )
    retriever = retriever or (named_by(report["retriever"], data.name) if report else None)
    judged = judged_queries(judgements)
    if not any(query in judged for (query,) in texts(inputs, "query_id")):
        raise UserError(
            f"data set {data.name}: {judgements} has no query in common with the candidates; give its own judgements"
        )
    return CandidateFiles(data, inputs, files.absolute(judgements), retriever, report)


def made_in(inputs: Sequence[InputFile]) -> str | None:
    """The directory in which all the files lie as in an output of pipelines.candidates; None where there is none."""
    folders = {file.path.rpartition("/")[0] for file in inputs}
    output, _, name = folders.pop().rpartition("/") if len(folders) == 1 else ("", "", "")
    return output if name == CANDIDATES_DIRECTORY else None


def report_in(directory: str | None) -> dict[str, Any]:
    """What pipelines.candidates reports in its output; empty where there is none, or another program's file."""
    if directory is None or not files.exists(files.join(directory, REPORT)):
        return {}
    try:
        report = dict(parse(files.read_text(files.join(directory, REPORT))))
        named_by(report["retriever"], "")
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    return report


def named_by(retriever: Mapping[str, Any], dataset: str) -> str:
    """A first stage's name in the table, from what candidates.json says of it.

    A model of the catalogue that was used otherwise than the benchmark uses it for the data set is named with that.
    """
    kind: str = retriever["kind"]
    if kind != "dense":
        return f"run:{retriever['path']}" if kind == "run" else kind
    name, model = retriever["name"], catalogue.named(retriever["name"])
    other = []
    if model is not None:
        sizes = getattr(model.settings, "sizes", ())
        usual = {
            "revision": model.revision,
            "max_length": model.settings.max_length,
            "size": max(sizes, default=None),
            "task": code_task(dataset) if name == CODE_MODEL else None,
        }
        used = {"revision": retriever["model"].get("revision"), **retriever["settings"]}
        other = [f"{key} {used[key]}" for key, value in usual.items() if value is not None and used[key] != value]
    return f"dense:{name} ({', '.join(other)})" if other else f"dense:{name}"


def ready(data: BenchmarkDataSet, request: BenchmarkRequest, output: str) -> CandidateFiles | None:
    """A data set's candidates if they are there; None where they are still to be made.

    Raises:
        UserError: candidates that the user named, or the run to make them from, are not there.
    """
    if data.source is None:
        return look_at(data, data.candidates, data.judgements)
    directory = candidates_directory(data, request, output)
    stage = first_stage(data, request.retriever)
    if not files.exists(files.join(directory, SUCCESS)):
        kind, _, run = stage.retriever.partition(":")
        if kind == "run" and not files.exists(files.absolute(run)):
            raise UserError(f"--retriever {stage.retriever}: no file {run}; give a TREC run")
        return None
    made = files.join(directory, ANSWERS if data.known is not None and data.known.qrels is None else QRELS)
    return look_at(data, files.join(directory, CANDIDATES_DIRECTORY), made, stage.name, directory)


def candidates_directory(data: BenchmarkDataSet, request: BenchmarkRequest, output: str) -> str:
    """Where the candidates of a data set are made; another first stage or depth has another directory."""
    name = f"{data.name} {first_stage(data, request.retriever).name} {request.depth}"
    return files.join(output, CANDIDATES, safe_name(name))


def candidates_of(
    data: BenchmarkDataSet, request: BenchmarkRequest, output: str, beam: Sequence[str]
) -> CandidateFiles:
    """A data set's candidates, made if need be.

    Raises:
        UserError: they cannot be made, or have changed since they were inspected.
        ApartError: what makes them failed or died.
        KeyboardInterrupt: the user stopped it.
    """
    if data.source is not None:
        print(f"candidates of {data.name}", flush=True)
        # Also where they are there: the job finds that they are done, or that they were made of something else.
        run_apart(do_job, candidates_request(data, request, output), beam)
    made = ready(data, request, output)
    if made is None:
        raise ApartError("the job ended without an error, but left no _SUCCESS")
    return made


def candidates_request(data: BenchmarkDataSet, request: BenchmarkRequest, output: str) -> CandidatesRequest:
    """What the job that makes a data set's candidates is asked for."""
    stage = first_stage(data, request.retriever)
    fields: dict[str, Any] = {}
    if stage.retriever.startswith("dense:"):
        fields |= values_of(request, RunRequest)
        fields["model_like"] = stage.like
        fields["embeddings"] = files.join(output, EMBEDDINGS)  # data sets can have one corpus
    if stage.name == f"dense:{CODE_MODEL}":
        fields["task"] = code_task(data.name)
    if data.known is not None:
        fields |= rules(data.known, stage)
    return CandidatesRequest(
        dataset=data.source,
        data_dir=data.copies or request.data_dir,
        retriever=retriever(stage.retriever),
        depth=request.depth,
        output=candidates_directory(data, request, output),
        **fields,
    )


def rules(known: datasets.Dataset, stage: FirstStage) -> dict[str, Any]:
    """A known data set's own rules, which a directory in BEIR's layout does not say."""
    identical = {"exclude_identical_ids": bool(known.exclude_identical_ids)}
    return identical | ({"language": known.language} if stage.retriever == "bm25" else {})
