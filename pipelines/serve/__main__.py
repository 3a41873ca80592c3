"""`python -m pipelines.serve`."""

import sys
from collections.abc import Sequence

from pipelines.serve.options import build_parser
from transforms.base.command import run_command
from transforms.base.console import outlive_readers
from transforms.base.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""

    def work() -> int:
        options = build_parser().parse_args(arguments)
        try:
            from pipelines.serve.service import serve  # takes seconds
        except ModuleNotFoundError as error:
            raise UserError(f"{error.name} is not installed; install this package with its extra serve") from None
        return serve(options)

    return run_command(work)


if __name__ == "__main__":
    outlive_readers()
    sys.exit(main())
