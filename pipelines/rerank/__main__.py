"""`python -m pipelines.rerank`."""

import sys
from collections.abc import Sequence

from pipelines.rerank.options import build_parser
from pipelines.rerank.request import RerankRequest
from pipelines.running.command import run_job
from transforms.base.console import outlive_readers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = build_parser()

    def do(request: RerankRequest, words: list[str]) -> int:
        from pipelines.rerank.job import do_job  # takes seconds
        from pipelines.running.runner import prepare

        return int(not do_job(request, prepare(parser, request, words)).complete)

    return run_job(parser, RerankRequest, do, arguments)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
