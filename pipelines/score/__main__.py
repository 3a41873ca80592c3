"""`python -m pipelines.score`."""

import sys
from collections.abc import Sequence

from pipelines.score.options import build_parser
from pipelines.score.request import ScoreRequest
from transforms.base.command import run_here
from transforms.base.console import outlive_readers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    return run_here(build_parser(), ScoreRequest, "pipelines.score.job", arguments)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
