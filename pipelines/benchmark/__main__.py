"""`python -m pipelines.benchmark`."""

import sys
from collections.abc import Sequence

from pipelines.benchmark.options import build_parser
from pipelines.benchmark.request import BenchmarkRequest
from pipelines.running.command import run_job
from transforms.base.console import outlive_readers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_job(build_parser(), BenchmarkRequest, "pipelines.benchmark", arguments)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
