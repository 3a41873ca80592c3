"""`python -m pipelines.candidates`."""

import sys
from collections.abc import Sequence

from pipelines.candidates.options import build_parser
from pipelines.candidates.request import CandidatesRequest
from pipelines.running.command import run_job
from transforms.base.console import outlive_readers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = build_parser()

    def do(request: CandidatesRequest, words: list[str]) -> int:
        from pipelines.candidates.job import do_job  # takes seconds
        from pipelines.running.runner import prepare

        return do_job(request, prepare(parser, request, words))

    return run_job(parser, CandidatesRequest, do, arguments)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
