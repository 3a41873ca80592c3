"""`python -m pipelines.score`."""

import sys
from collections.abc import Sequence

from pipelines.score.options import build_parser
from transforms.base.command import run_command
from transforms.base.console import outlive_readers


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""

    def work() -> int:
        options = build_parser().parse_args(arguments)
        from pipelines.score.job import score  # takes seconds

        return score(options)

    return run_command(work)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
