"""Running a job: its command line, which runner, and what it counted."""

from __future__ import annotations

import argparse
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import apache_beam as beam
import grpc
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import (
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    StandardOptions,
)
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner, create_runner
from apache_beam.transforms.environments import SubprocessSDKEnvironment
from apache_beam.transforms.resources import resource_hints_from_options

from pipelines.running import before_beam, dataflow, worker
from pipelines.running.beam_options import parse
from pipelines.running.request import JobRequest
from transforms.base.command import WorkerDiedError
from transforms.base.errors import UnavailableError, UserError, one_line
from transforms.base.reading import names_of
from transforms.base.request import refuse
from transforms.base.temporary import temporary_folder

# Beam's name of the threads that wait for its worker processes (SubprocessSdkWorkerHandler); one fails as its process
# does, while Beam itself waits for that process' answers forever.
_WAITS_FOR_WORKER = "run_worker"
SECONDS_AFTER_A_DEATH = 5.0


class Runner(NamedTuple):
    """What runs a job's graph.

    Attributes:
        engine: Beam's runner.
        options: Beam's, of all runners.
        local: whether its workers are processes that this one starts.
    """

    engine: PipelineRunner
    options: PipelineOptions
    local: bool


def prepare_runner(request: JobRequest, words: Sequence[str], parser: argparse.ArgumentParser) -> Runner:
    """The runner for a job, all of whose options are checked. Files are read with Beam's options from here on.

    Args:
        request: of the job.
        words: Beam's options, as on a command line.
        parser: of the job's own options, which a mistyped word may mean.

    Raises:
        UserError: an option that neither knows, a value that cannot be, or that cannot work on the runner, or a runner
            that does not exist or loses data.
    """
    runner = use_words(words, parser)
    dataflow.check(request, runner.options)
    return runner


def use_words(words: Sequence[str], parser: argparse.ArgumentParser) -> Runner:
    """The runner that words for Beam name. Files are read with Beam's options from here on.

    Raises:
        UserError: an option that neither knows, a value that cannot be, or a runner that does not exist or loses data.
    """
    options = parse(words, names_of(parser))
    name, workers = options.view_as(StandardOptions).runner or "", options.view_as(DirectOptions).direct_num_workers
    refuse(before_beam.runner_refusals(name, workers, options.view_as(PortableOptions).job_endpoint))
    try:
        resource_hints_from_options(options)
    except ValueError as error:
        raise UserError(f"--resource_hints: {one_line(error)}") from error
    FileSystems.set_options(options)  # as Beam does in a pipeline, for the files that are read before it
    engine, local = runner_of(options)
    return Runner(engine, options, local)


def runner_of(options: PipelineOptions) -> tuple[PipelineRunner, bool]:
    """The runner that the options name, and whether its workers are processes that this one starts.

    DirectRunner is Beam's in-process FnApiRunner here. Beam's own choice depends on the network: where there is one it
    downloads another engine, Prism.

    Raises:
        UserError: the runner does not exist, or is known to lose data.
    """
    name = before_beam.runner_of(options.view_as(StandardOptions).runner or "DirectRunner")
    if name in before_beam.LOCAL_RUNNERS:
        return FnApiRunner(), True
    try:
        return create_runner(name), False
    except (ImportError, ValueError, AttributeError) as error:
        raise UserError(f"--runner {name}: {one_line(error)}") from error


def run_graph(build: Callable[[beam.Pipeline], Any], runner: Runner, namespace: str) -> dict[str, int]:
    """Run the graph to its end; returns the run's counters of a namespace by name.

    Where Dataflow is asked for a template alone, that ends the command, as nothing is run.

    Raises:
        UserError: a worker met a mistake that the user can fix.
    """
    options = runner.options
    with temporary_folder() as folder:
        pipeline = beam.Pipeline(runner=_with_workers(runner.engine, options), options=options)
        os.rmdir(pipeline.local_tempdir)  # which Beam removes at a good end alone
        pipeline.local_tempdir = folder
        build(pipeline)
        result = run_to_end(pipeline)
    template = options.view_as(GoogleCloudOptions).template_location
    if template and dataflow.is_dataflow(options):
        print(f"template written to {template}; once it has run, the same command without --template_location finishes")
        raise SystemExit(0)
    counters = result.metrics().query(MetricsFilter().with_namespace(namespace))["counters"]
    return {counter.key.metric.name: counter.result for counter in counters}


def _with_workers(runner: PipelineRunner, options: PipelineOptions) -> PipelineRunner:
    """The runner; where Beam's engine is asked for worker processes, one that starts ours, which the options then leave
    to it."""
    direct = options.view_as(DirectOptions)
    if not isinstance(runner, FnApiRunner) or direct.direct_running_mode != "multi_processing":
        return runner
    direct.direct_running_mode = None  # else Beam's engine puts its own workers in their place
    return FnApiRunner(default_environment=SubprocessSDKEnvironment.from_command_string(worker.command()))


def run_to_end(pipeline: beam.Pipeline) -> PipelineResult:
    """Run the pipeline to its end in a thread of its own, so that this one hears of a worker's death, and of Ctrl-C.

    Raises:
        UserError: as `run_graph`.
        WorkerDiedError: a worker process of this machine has died.
        KeyboardInterrupt: Ctrl-C was pressed; a job elsewhere is cancelled.
    """
    started: list[PipelineResult] = []
    ends: SimpleQueue[BaseException | None] = SimpleQueue()

    def run() -> None:
        try:
            # Without the round trip that Beam makes for other runners than its own: it adds hints of resources up anew.
            started.append(pipeline.run(test_runner_api=False))
            started[0].wait_until_finish()
            ends.put(None)
        except BaseException as error:
            # The run of the engine in this process is the whole job; that of others hands the job in.
            here = started or isinstance(pipeline.runner, FnApiRunner)
            ends.put(error if here else UnavailableError(f"the job could not be handed in: {one_line(error)}"))

    with _deaths_of_workers(ends):
        try:
            threading.Thread(target=run, name="pipeline", daemon=True).start()
            error = ends.get()
            if isinstance(error, WorkerDiedError):
                with suppress(Empty):  # a run that has just ended, which stops its workers, says how
                    error = ends.get(timeout=SECONDS_AFTER_A_DEATH)
        except KeyboardInterrupt:
            for result in started:
                result.cancel()
            raise
    if error is not None:
        raise (_user_error_in(error) or error) from error
    return started[0]


@contextmanager
def _deaths_of_workers(ends: SimpleQueue[BaseException | None]) -> Iterator[None]:
    """While the body runs, worker processes that end in failure are put into the queue."""
    before = threading.excepthook

    def failed(arguments: threading.ExceptHookArgs) -> None:
        error = arguments.exc_value
        if error is not None and arguments.thread is not None and arguments.thread.name == _WAITS_FOR_WORKER:
            death = one_line(error).lower()
            killed = death.endswith(("-9", "137"))
            why = ", as one does that takes too much memory" if killed else ", see above"
            ends.put(WorkerDiedError(f"a worker process died ({death}){why}"))
        elif not isinstance(error, grpc.RpcError):  # which those raise that read what the process had to say
            before(arguments)

    threading.excepthook = failed
    try:
        yield
    finally:
        threading.excepthook = before


def _user_error_in(error: BaseException) -> UserError | None:
    """The UserError that a worker raised: in the chain of causes, or, from another process, in the text it sent."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__cause__ or cause.__context__
    # Beam adds the step's name to what a worker raises.
    text = f"{UserError.__module__}.{type(cause).__name__}: {cause}" if cause else str(error)
    kinds = {kind.__name__: kind for kind in (UserError, UnavailableError)}
    match = re.search(
        rf"^{re.escape(UserError.__module__)}\.({'|'.join(kinds)}): (.+?)(?: \[while running .*)?$", text, re.MULTILINE
    )
    return None if match is None else kinds[match[1]](match[2])
