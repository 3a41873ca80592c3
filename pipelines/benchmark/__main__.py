"""`python -m pipelines.benchmark`."""

import argparse
import sys
from collections.abc import Sequence

from pipelines.benchmark.options import build_parser
from pipelines.running.command import run_job
from transforms.base.console import outlive_readers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_job(build_parser(), lambda options: None, _do, arguments)


def _do(options: argparse.Namespace, words: list[str]) -> int:
    from pipelines.benchmark.job import do  # takes seconds

    return do(options, words)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
