"""The main job: candidate lists in, scored Parquet out.

    python -m pipelines.rerank --input 'cands/*.parquet' --output out/ --model MODEL --runner=DirectRunner

Everything that can be checked is checked before the model is loaded. The same command again does what is missing.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import dry_run
from pipelines.options import Parser, fail, parse
from pipelines.progress_line import progress_line
from pipelines.running import run_graph, runner_of, stop_on_interrupt
from transforms import files, job
from transforms.commit import Part, committed, complete_row_groups
from transforms.errors import UserError
from transforms.inputs import InputFile, inspect
from transforms.plan import Unit, load_plan, plan, save_plan
from transforms.regroup import regroup
from transforms.rerank import NAMESPACE, Reading, Rerank, Work
from transforms.schema import REASONS
from transforms.scoring.reranker import Specification, specify
from transforms.template import parse_template

# Options that are fields of a model family's Settings: None leaves them to the vendor's defaults.
MODEL_OPTIONS = ("max_length", "max_query_length", "long_documents")
# Options that settle how the arithmetic runs, with the value that leaves the choice open.
RUN_OPTIONS = {"device": "auto", "dtype": "auto", "batch_tokens": None}


def build_parser() -> argparse.ArgumentParser:
    """All options of this command; Beam's runners add theirs."""
    parser = Parser(
        prog="python -m pipelines.rerank",
        description="Rerank candidate lists in Parquet: every (query, document) pair is scored and written to OUTPUT.",
        epilog="All options of Beam's runners are taken too, --runner=DirectRunner for one.",
    )
    files_ = parser.add_argument_group("input and output")
    files_.add_argument(
        "--input", required=True, nargs="+", metavar="PATH", help="Parquet files, directories or globs of candidates"
    )
    files_.add_argument("--output", required=True, metavar="DIR", help="directory of the job's output")
    files_.add_argument("--keep_columns", type=_names, default=(), metavar="A,B", help="input columns to carry to the output")
    files_.add_argument("--text_template", metavar="TEXT", help='what the model sees of a document, say "{title} {text}"')
    files_.add_argument("--top_k", type=_positive, metavar="K", help="keep only each query's best K in the output")
    files_.add_argument("--run_file", metavar="FILE", help="also write the ranking as a TREC run")
    model = parser.add_argument_group("model")
    model.add_argument("--model", required=True, help="short name, hub id (owner/name) or directory of a checkpoint")
    model.add_argument("--model_like", metavar="NAME", help="treat the checkpoint as this model of the catalogue")
    model.add_argument("--revision", help="commit, tag or branch on the hub")
    model.add_argument("--max_length", type=_positive, metavar="TOKENS", help="tokens the model reads at once")
    model.add_argument("--max_query_length", type=_positive, metavar="TOKENS", help="tokens kept of a query")
    model.add_argument(
        "--long_documents",
        choices=("window", "truncate"),
        help="read a long document in overlapping windows and take the best score, or cut it",
    )
    running = parser.add_argument_group("running")
    running.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    running.add_argument("--dtype", default="auto", choices=("auto", "float32", "bfloat16", "float16"))
    running.add_argument("--batch_tokens", type=_positive, metavar="N", help="tokens in one forward pass, at most")
    running.add_argument("--shard_pairs", type=_positive, default=16_384, metavar="N", help="pairs in a shard, at most")
    running.add_argument(
        "--max_rejected", type=_fraction, default=1.0, metavar="SHARE", help="share of pairs that may be rejected"
    )
    running.add_argument("--overwrite", action="store_true", help="delete what an earlier job left in OUTPUT")
    running.add_argument("--extend", action="store_true", help="score input files that were added since")
    running.add_argument(
        "--retry_rejected", choices=list(REASONS), metavar="REASON", help="score the shards again in which pairs were rejected for this reason"
    )
    running.add_argument("--dry_run", action="store_true", help="count, and estimate time and cost; write nothing")
    running.add_argument("--price_per_hour", type=float, metavar="PRICE", help="of one machine, to tell the cost")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def build(
    pipeline: beam.Pipeline,
    work: Sequence[Work],
    output: str,
    specification: Specification,
    reading: Reading,
    *,
    top_k: int | None = None,
    progress_folder: str | None = None,
) -> beam.PCollection[Counter[str]]:
    """The job's graph: work to committed shards; puts out each shard's counts."""
    rerank = Rerank(output, specification, reading, top_k=top_k, progress_folder=progress_folder)
    return pipeline | "Work" >> beam.Create(work) | "Rerank" >> rerank


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        options, beam_options = parse(build_parser(), sys.argv[1:] if arguments is None else arguments)
        return rerank(options, beam_options)
    except UserError as error:
        return fail(error)


def rerank(options: argparse.Namespace, beam_options: PipelineOptions) -> int:
    """Do the job, or what is missing of it; returns the exit code.

    Raises:
        UserError: a mistake that the user can mend.
    """
    runner, local = runner_of(beam_options)
    template = None if options.text_template is None else parse_template(options.text_template)
    reading = Reading(options.keep_columns, template, options.shard_pairs)
    output = files.absolute(options.output)
    inputs = inspect(files.expand(options.input), options.keep_columns)
    if options.extend and any(file.layout == "flat" for file in inputs):
        raise UserError("--extend: a new file of flat input may hold more pairs of an old query; give another --output")
    specification = specify_model(options, None if options.overwrite else job.read_job(output))
    if options.dry_run:
        print(dry_run.report(specification, inputs, reading, options.price_per_hour))
        return 0

    wanted = job.new_job(
        inputs,
        model=specification.fingerprint(),
        options={name: getattr(options, name) for name in ("keep_columns", "text_template", "top_k", "shard_pairs")},
        execution=asdict(specification.execution),
        command=vars(options),
    )
    requested = {name: getattr(specification.execution, name) for name in RUN_OPTIONS if _is_given(options, name)}
    with job.open_job(
        output, wanted, requested=requested, overwrite=options.overwrite, extend=options.extend
    ) as current:
        units = plan_units(output, job.in_job_order(current, inputs), options.keep_columns)
        if options.retry_rejected is not None:
            uncommit(output, options.retry_rejected)
        parts = committed(output)
        work = missing_work(units, parts)
        start = time.monotonic()
        metrics: dict[str, int] = {}
        if work:
            with (
                stop_on_interrupt(local) as folder,
                progress_line(folder, total_pairs(inputs), sum(part.counts["pairs"] for part in parts.values())),
            ):
                metrics = run_graph(
                    lambda pipeline: build(
                        pipeline, work, output, specification, reading, top_k=options.top_k, progress_folder=folder
                    ),
                    runner,
                    beam_options,
                    NAMESPACE,
                )
        print(metrics, time.monotonic() - start, committed(output))
        return 0


def _is_given(options: argparse.Namespace, name: str) -> bool:
    return getattr(options, name) != RUN_OPTIONS[name]


def specify_model(options: argparse.Namespace, begun: job.Job | None) -> Specification:
    """The model that the options name; what they leave open is as in the job that is continued, where there is one.

    Raises:
        UserError: the model cannot be had, or cannot run so.
    """
    settled = dict(begun.execution) if begun else {}
    run = {
        name: getattr(options, name) if _is_given(options, name) else settled.get(name, open_choice)
        for name, open_choice in RUN_OPTIONS.items()
    }
    return specify(
        options.model,
        revision=options.revision,
        like=options.model_like,
        threads=settled.get("threads"),
        options={name: getattr(options, name) for name in MODEL_OPTIONS},
        **run,
    )


def plan_units(output: str, inputs: Sequence[InputFile], keep_columns: Sequence[str]) -> tuple[Unit, ...]:
    """The units of the job, from its committed plan if there is one; regroups flat input whose queries are scattered.

    Raises:
        UserError: an input file has changed since it was looked at.
    """
    made = load_plan(output, inputs)
    if made is None:
        made = plan(inputs)
        save_plan(output, inputs, made)
    if made.contiguous:
        return made.units
    print("the rows of a query do not stand together: regrouping the input on disk", file=sys.stderr)
    return plan(inspect(regroup(inputs, output, keep_columns), keep_columns)).units


def missing_work(units: Sequence[Unit], parts: Mapping[str, Part]) -> list[Work]:
    """The units that are not committed whole, each with the names of its shards that are."""
    complete = complete_row_groups(parts)
    names: dict[str, set[str]] = defaultdict(set)
    for name in parts:
        names[name.rpartition("-")[0]].add(name)
    missing = (unit for unit in units if (unit.file.index, unit.row_group) not in complete)
    return [Work(unit, frozenset(names[unit.name])) for unit in missing]


def total_pairs(inputs: Sequence[InputFile]) -> int | None:
    """Pairs of all input files, None if a footer does not tell."""
    pairs = [file.pairs for file in inputs]
    return None if None in pairs else sum(filter(None, pairs))


if __name__ == "__main__":
    sys.exit(main())
