"""The benchmark: data sets times models, each cell a job, and the table of their results."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.benchmark.options import build_parser
from pipelines.benchmark.request import BenchmarkRequest
from pipelines.running import before_beam
from transforms.base import collector


def do_job(request: BenchmarkRequest, words: Sequence[str]) -> int:
    """Make the cells that are missing, or plan them; returns the exit code.

    Args:
        request: what to do.
        words: options of Beam's runner, as on a command line, for each of the jobs.

    Raises:
        UserError: a mistake that the user can fix.
        KeyboardInterrupt: the user stopped it, after the shard in hand.
    """
    if before_beam.is_needed(request, words):
        from pipelines.running.runner import use_words  # takes a second

        use_words(words, build_parser())
    with collector.at_rest():
        from pipelines.benchmark.inputs import find_inputs  # takes a while

    inputs = find_inputs(request)
    with collector.at_rest():
        from pipelines.benchmark import job  # takes seconds
        from pipelines.benchmark.prepared import prepare

    prepared = prepare(request, words, inputs)
    return job.estimate(prepared) if request.plan else job.run(prepared)
