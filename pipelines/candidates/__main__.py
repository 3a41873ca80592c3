"""`python -m pipelines.candidates`."""

import sys
from collections.abc import Sequence

from pipelines.candidates.options import build_parser
from pipelines.candidates.request import CandidatesRequest
from pipelines.running.command import run_job
from transforms.base.console import outlive_readers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_job(build_parser(), CandidatesRequest, "pipelines.candidates", arguments)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
