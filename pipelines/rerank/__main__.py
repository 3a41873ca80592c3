"""`python -m pipelines.rerank`."""

import sys
from collections.abc import Sequence

from pipelines.rerank.options import build_parser
from pipelines.rerank.request import RerankRequest
from pipelines.running.command import run_job
from transforms.base.console import outlive_readers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_job(build_parser(), RerankRequest, "pipelines.rerank", arguments)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
