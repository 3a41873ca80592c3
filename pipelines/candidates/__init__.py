"""The job that makes candidate lists: queries and a corpus in, a first stage's candidates out."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.candidates.options import build_parser
from pipelines.candidates.request import CandidatesRequest
from pipelines.running import before_beam
from transforms.base import collector, files
from transforms.job import directory


def do_job(request: CandidatesRequest, words: Sequence[str]) -> int:
    """Do the job, or what is missing of it; returns the exit code.

    Args:
        request: what to do.
        words: options of Beam's runner, as on a command line.

    Raises:
        UserError: a mistake that the user can fix.
        KeyboardInterrupt: the user stopped it.
    """
    before_beam.check(request, words, build_parser())
    with collector.at_rest():
        from pipelines.candidates.inputs import LAYOUT, find_inputs  # takes a while

    with directory.no_empty_directories(files.absolute(request.output), LAYOUT):
        inputs = find_inputs(request)
        with collector.at_rest():
            from pipelines.candidates import job  # takes seconds

        job.run(job.prepare(request, words, inputs))
    return 0
