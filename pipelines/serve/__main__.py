"""`python -m pipelines.serve`."""

import sys
from collections.abc import Sequence

from pipelines.serve.options import build_parser
from pipelines.serve.request import ServeRequest
from transforms.base.command import run_here
from transforms.base.console import outlive_readers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_here(build_parser(), ServeRequest, "pipelines.serve.service", arguments, extra="serve")


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
