"""`python -m pipelines.rerank`."""

import argparse
import sys
from collections.abc import Sequence

from pipelines.rerank.options import build_parser, check
from pipelines.running.command import run_job
from transforms.base.console import outlive_readers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = build_parser()

    def do(options: argparse.Namespace, words: list[str]) -> int:
        from pipelines.rerank.job import do_job  # takes seconds
        from pipelines.running.runner import prepare

        return do_job(options, prepare(parser, options, words))

    return run_job(parser, check, do, arguments)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
