"""The main job: candidate lists in, scored Parquet out.

    python -m pipelines.rerank --input 'cands/*.parquet' --output out/ --model MODEL --runner=DirectRunner

Everything that can be checked is checked before the model is loaded. The same command again does what is missing.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

from pipelines.rerank import Finished, dry_run
from pipelines.rerank.inputs import RerankInputs
from pipelines.rerank.options import build_parser
from pipelines.rerank.request import RerankRequest
from pipelines.running import dataflow
from pipelines.running.model import specify_for_job
from pipelines.running.progress_line import progress_line
from pipelines.running.runner import Runner, prepare_runner, run_graph
from pipelines.running.stopping import stop_on_interrupt
from transforms.base import files
from transforms.handler import made_by
from transforms.input.conversion.convert import sweep
from transforms.input.inputs import InputFile, inspect, total_pairs
from transforms.input.plan import Unit, load_plan, plan, save_plan
from transforms.input.regroup import regroup
from transforms.input.template import parse_template
from transforms.job import record
from transforms.layout import CONVERTED_DIRECTORY, JOB, RERANKING, SUCCESS
from transforms.output import report
from transforms.output import retry as retrying
from transforms.output.commit import Stamp
from transforms.output.parts import Part, check_known, committed, complete_row_groups
from transforms.rerank import NAMESPACE, PlannedUnit, Reading, Rerank, stage_seconds
from transforms.schema import PART_VERSION, SCHEMA_VERSION, scored_columns
from transforms.scoring.catalogue import licence_notice
from transforms.scoring.early import check_order_applies
from transforms.scoring.results import RankingTask
from transforms.scoring.scorer import ScorerSpecification

CHECK = RankingTask("test", ["test"])
RUN_TAG = "rerank"  # the run's name in a TREC run file


def build(
    pipeline: beam.Pipeline, work: Sequence[PlannedUnit], rerank: Rerank
) -> beam.pvalue.PCollection[Counter[str]]:
    """The job's graph: work to committed shards; emits each shard's counts."""
    counts: beam.pvalue.PCollection[Counter[str]] = pipeline | "Work" >> beam.Create(work) | "Rerank" >> rerank
    return counts


@dataclass(frozen=True)
class Prepared:
    """A job of which everything is checked that can be before it begins.

    Attributes:
        request: what was asked for.
        inputs: its files.
        runner: what runs it.
        reading: how the input files become shards.
        specification: the model.
    """

    request: RerankRequest
    inputs: RerankInputs
    runner: Runner
    reading: Reading
    specification: ScorerSpecification

    @property
    def batch_is_open(self) -> bool:
        """Whether the batch size is still to be chosen."""
        return self.inputs.previous is None and "batch_tokens" not in self.request.run_options()


def rerank(request: RerankRequest, words: Sequence[str], inputs: RerankInputs) -> Finished:
    """Do the job, or what is missing of it.

    Args:
        request: what to do.
        words: options of Beam's runner, as on a command line.
        inputs: the job's files.

    Raises:
        UserError: a mistake that the user can fix.
        KeyboardInterrupt: the user stopped it, after the shard in hand.
    """
    prepared = prepare(request, words, inputs)
    return estimate(prepared) if request.dry_run else run(prepared)


def prepare(request: RerankRequest, words: Sequence[str], inputs: RerankInputs) -> Prepared:
    """Check all else that can be checked before the model is loaded; nothing is written. Arguments as of `rerank`.

    Raises:
        UserError: a mistake that the user can fix.
    """
    runner = prepare_runner(request, words, build_parser())
    template = None if request.text_template is None else parse_template(request.text_template)
    reading = Reading(request.keep_columns, template, request.shard_pairs)
    specification = specify_model(request, inputs.previous, remote=not runner.local and not request.dry_run)
    if notice := licence_notice(specification.model):
        print(notice, file=sys.stderr)
    return Prepared(request, inputs, runner, reading, specification)


def estimate(prepared: Prepared) -> Finished:
    """Say what the job would take, from a sample; nothing is written."""
    request, specification = prepared.request, prepared.specification
    if prepared.batch_is_open:
        specification = specification.with_best_batch(sample(prepared), keep=True)
    planned = dry_run.Wanted(request.workers or 1, request.throughput, request.price_per_hour)
    print(dry_run.report(specification, prepared.inputs.files, prepared.reading, planned))
    return Finished(prepared.inputs.output, {}, True)


def run(prepared: Prepared) -> Finished:
    """Score what is missing, and finish the job.

    Raises:
        UserError: a mistake that shows only now.
        KeyboardInterrupt: the user stopped it, after the shard in hand.
    """
    request, reading, output, inputs = prepared.request, prepared.reading, prepared.inputs.output, prepared.inputs.files
    specification, runner = prepared.specification, prepared.runner
    use_all_gpus(specification, runner.options)
    if runner.local and prepared.batch_is_open:
        record.check_free(output, request.overwrite)
        specification = specification.with_best_batch(sample(prepared), keep=scores_here(runner.options))
    wanted = record.new_job(
        inputs,
        kind=RERANKING.kind,
        model=specification.fingerprint(),
        options=request.output_options(),
        execution=asdict(specification.execution),
        command=vars(request),
        schema_version=SCHEMA_VERSION,
        part_version=PART_VERSION,
    )
    requested = {name: wanted.execution[name] for name in request.run_options()}
    if request.overwrite and runner.local and specification.hosted and files.exists(files.join(output, JOB)):
        specification.load().score_tasks([CHECK])  # a refused key shows before anything is deleted
    with record.open_job(
        output, wanted, requested=requested, overwrite=request.overwrite, extend=request.extend
    ) as current:
        start = time.monotonic()
        in_order = record.in_job_order(current, inputs)
        units = plan_units(output, in_order, request.keep_columns)
        retrying.recover(output)
        sweep(files.join(output, CONVERTED_DIRECTORY), (file.path for file in inputs))
        stamp = Stamp(current.fingerprint, current.part_version, scored_columns(current.model["settings"]))
        parts = committed(output, current.fingerprint, whole=())
        check_known(output, parts, units)
        retry, retried = None, frozenset[str]()
        if request.retry_rejected is not None:
            retry = retrying.begin(output, request.retry_rejected, alone=not specification.model.reads_lists)
            retried = retrying.to_retry(parts, retry)
        before = {name: part for name, part in parts.items() if name not in retried}
        metrics: dict[str, int] = {}
        if work := missing_work(units, before, retried):
            if missing_work(units, parts):
                files.delete([files.join(output, SUCCESS)])
            done = sum(part.counts["pairs"] for part in before.values())
            with stop_on_interrupt(runner.local) as folder, progress_line(folder, total_pairs(inputs), done):
                rerank = Rerank(
                    output,
                    specification,
                    reading,
                    order=request.candidate_order,
                    top_k=request.top_k,
                    stamp=stamp,
                    progress_folder=folder,
                    resource_hints=dataflow.take_scoring_hints(runner.options),
                    retry=retry,
                    retried=retried,
                )
                graph = partial(build, work=work, rerank=rerank)
                metrics = run_graph(graph, runner, NAMESPACE)
            record.record_versions(output, current, made_by(metrics))
            parts = committed(output, current.fingerprint, whole=before.keys())
            if lost := missing_work(units, parts):
                raise RuntimeError(f"the run ended without an error, but {lost[0].unit.name} was not committed")
        retrying.end(output)
        return finish(output, parts, before, metrics, time.monotonic() - start, request)


def sample(prepared: Prepared) -> Iterator[RankingTask]:
    """Some of the job's tasks, read when they are asked for."""
    return dry_run.sample_tasks(dry_run.beginnings(prepared.inputs.files), prepared.reading)


def specify_model(request: RerankRequest, previous: record.Job | None, remote: bool = False) -> ScorerSpecification:
    """The model that the request names, see `specify_for_job`, checked against the order of candidates.

    Raises:
        UserError: the model is unavailable, cannot run so, or scores each document alone where an order is given.
    """
    specification = specify_for_job(request.model, request, request.model_options(), previous, remote)
    check_order_applies(request.candidate_order, request.model, specification.model)
    return specification


def use_all_gpus(specification: ScorerSpecification, options: PipelineOptions) -> None:
    """Ask Beam's own engine for a worker process for each GPU of this machine, where neither is chosen by the user."""
    direct = options.view_as(DirectOptions)
    unsaid = (direct.direct_running_mode, direct.direct_num_workers) == ("in_memory", 1)
    if unsaid and (gpus := specification.gpus()) > 1:
        direct.direct_running_mode, direct.direct_num_workers = "multi_processing", gpus


def scores_here(options: PipelineOptions) -> bool:
    """Whether Beam's own engine scores in this process."""
    return bool(options.view_as(DirectOptions).direct_running_mode == "in_memory")


def plan_units(output: str, inputs: Sequence[InputFile], keep_columns: Sequence[str]) -> tuple[Unit, ...]:
    """The units of the job, from its committed plan if there is one; regroups flat input whose queries are scattered.

    Raises:
        UserError: an input file has changed since it was inspected.
    """
    made = load_plan(output, inputs)
    if made is None:
        made = plan(inputs)
        save_plan(output, inputs, made)
    if made.contiguous:
        return made.units
    print("the rows of a query do not stand together: regrouping the input on disk", file=sys.stderr)
    return plan(inspect(regroup(inputs, output, keep_columns), keep_columns)).units


def missing_work(
    units: Sequence[Unit], parts: Mapping[str, Part], retried: Collection[str] = frozenset()
) -> list[PlannedUnit]:
    """The units of which not all shards are done.

    Args:
        units: of the plan.
        parts: the shards that are done.
        retried: names of committed shards of which pairs are to be scored again; not among `parts`.
    """
    complete = complete_row_groups(parts)
    done, again = (_by_unit(names) for names in (parts, retried))
    missing = (unit for unit in units if (unit.file.index, unit.row_group) not in complete)
    return [PlannedUnit(unit, frozenset(done[unit.name]), frozenset(again[unit.name])) for unit in missing]


def _by_unit(shards: Iterable[str]) -> dict[str, set[str]]:
    """The names of shards by the name of their unit."""
    names: dict[str, set[str]] = defaultdict(set)
    for name in shards:
        names[name.rpartition("-")[0]].add(name)
    return names


def finish(
    output: str,
    parts: Mapping[str, Part],
    before: Mapping[str, Part],
    metrics: Mapping[str, int],
    seconds: float,
    request: RerankRequest,
) -> Finished:
    """Write the run file, report.json and _SUCCESS, and say how it went.

    Raises:
        UserError: an id cannot stand in a TREC run.
    """
    figures = report.summarise(
        parts,
        before=before,
        seconds=seconds,
        stage_seconds=stage_seconds(metrics),
        price_per_hour=request.price_per_hour,
    )
    report.write_report(output, figures)
    if request.run_file is not None:
        report.write_run_file(output, request.run_file, tag=RUN_TAG)
    rejected = report.rejected_fraction(report.total(parts))
    too_many = rejected > request.max_rejected
    if too_many:
        files.delete([files.join(output, SUCCESS)])
    else:
        report.write_success(output)
    print(report.summary(request.output, figures))
    if too_many:
        allowed = f"--max_rejected allows {request.max_rejected:.2%}"
        print(f"error: {rejected:.2%} of the pairs were rejected, {allowed}; no _SUCCESS is written", file=sys.stderr)
    return Finished(output, figures, not too_many)
