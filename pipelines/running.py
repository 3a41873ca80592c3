"""Running a job: its command line, which runner, what it counted, and how it is stopped without losing a shard."""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineRunner, create_runner

from pipelines.options import parse
from transforms.errors import UnavailableError, UserError, one_line
from transforms.progress import request_stop, stop_requested

LOCAL_RUNNERS = ("DirectRunner", "FnApiRunner")
RUNNERS_THAT_LOSE_DATA = {"DaskRunner": "it drops what a step puts out when a bundle ends"}


def set_up_logging() -> None:
    """Warnings alone, and what workers raise only once: where it is caught."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("apache_beam.runners").setLevel(logging.CRITICAL)


def run_command(
    parser: argparse.ArgumentParser,
    do_job: Callable[[argparse.Namespace, PipelineOptions], int],
    arguments: Sequence[str] | None,
) -> int:
    """Run a job's command line (None: the process' own), and tell in a line what went wrong; returns the exit code."""
    set_up_logging()
    again = ""
    try:
        options, beam_options = parse(parser, sys.argv[1:] if arguments is None else arguments)
        again = "without --overwrite " if options.overwrite else ""
        return do_job(options, beam_options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"interrupted: the same command {again}continues", file=sys.stderr)
        return 130
    except Exception:
        logging.exception("the job failed")
        print(
            f"error: the job failed, see above; what is done is kept, the same command {again}continues",
            file=sys.stderr,
        )
        return 1


def runner_of(options: PipelineOptions) -> tuple[PipelineRunner, bool]:
    """The runner that the options name, and whether its workers are processes that this one starts.

    DirectRunner is Beam's in-process FnApiRunner here: by its own choice it would be another engine on a machine with a
    network (it fetches one) than on a machine without.

    Raises:
        UserError: there is no such runner, or it is known to lose data.
    """
    name = options.view_as(StandardOptions).runner or "DirectRunner"
    name = {known.lower(): known for known in (*LOCAL_RUNNERS, *RUNNERS_THAT_LOSE_DATA)}.get(name.lower(), name)
    if name in RUNNERS_THAT_LOSE_DATA:
        why = RUNNERS_THAT_LOSE_DATA[name]
        raise UserError(f"--runner {name} loses data: {why}; use DirectRunner or DataflowRunner")
    if name in LOCAL_RUNNERS:
        return FnApiRunner(), True
    try:
        return create_runner(name), False
    except (ImportError, ValueError, AttributeError) as error:
        raise UserError(f"--runner {name}: {one_line(error)}") from error


def run_graph(
    build: Callable[[beam.Pipeline], Any], runner: PipelineRunner, options: PipelineOptions, namespace: str
) -> dict[str, int]:
    """Run the graph to its end; returns the run's counters of a namespace by name.

    Raises:
        UserError: a worker met a mistake that the user can mend.
    """
    pipeline = beam.Pipeline(runner=runner, options=options)
    build(pipeline)
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except Exception as error:
        raise (_user_error_in(error) or error) from error
    counters = result.metrics().query(MetricsFilter().with_namespace(namespace))["counters"]
    return {counter.key.metric.name: counter.result for counter in counters}


def _user_error_in(error: BaseException) -> UserError | None:
    """The UserError that a worker raised: in the chain of causes, or, from another process, in the text it sent."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, UserError):
        cause = cause.__cause__ or cause.__context__
    # Beam adds the step's name to what a worker raises.
    text = f"{UserError.__module__}.{type(cause).__name__}: {cause}" if cause else str(error)
    named = "|".join(kind.__name__ for kind in (UserError, UnavailableError))
    told = re.search(
        rf"^{re.escape(UserError.__module__)}\.({named}): (.+?)(?: \[while running .*)?$", text, re.MULTILINE
    )
    return None if told is None else {kind.__name__: kind for kind in (UserError, UnavailableError)}[told[1]](told[2])


@contextmanager
def stop_on_interrupt(local: bool) -> Iterator[str | None]:
    """While the body runs, the first Ctrl-C asks the workers to finish the shard in hand, and a second quits at once.

    Yields:
        The folder through which workers on this machine account for progress and are stopped, see
        `transforms.progress`; None where they are elsewhere.

    Raises:
        KeyboardInterrupt: after the body, where the workers were stopped.
    """
    if not local:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="rerank-progress-") as folder:

        def interrupted(number: int, frame: FrameType | None) -> None:
            if stop_requested(folder):
                os._exit(130)
            request_stop(folder)
            print("\ninterrupted: finishing the shard in hand; once more to quit at once", file=sys.stderr)

        before = signal.signal(signal.SIGINT, interrupted)
        try:
            yield folder
        finally:
            signal.signal(signal.SIGINT, before)
        if stop_requested(folder):
            raise KeyboardInterrupt
