"""How a job begins: its options and those for Beam are checked before what takes long is imported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TypeVar

from pipelines.running import before_beam
from pipelines.running.request import BeamRequest
from transforms.base import collector
from transforms.base.command import run_command
from transforms.base.reading import names_of, read
from transforms.base.request import refuse

RequestType = TypeVar("RequestType", bound=BeamRequest)


def parse_request(
    kind: type[RequestType], parser: argparse.ArgumentParser, words: Sequence[str], beam: Sequence[str] = ()
) -> tuple[RequestType, list[str]]:
    """What a job's command line asks for, and the words that are left for Beam.

    Args:
        kind: the dataclass of what it asks for.
        parser: of our own options.
        words: the command line.
        beam: more words for Beam.

    Raises:
        UserError: with all that is wrong, as far as is known without importing Beam.
    """
    request, rest, wrong = read(kind, parser, words)
    rest = [*rest, *beam]
    refuse([*before_beam.complaints(request, rest, names_of(parser)), *wrong])
    return request, rest


def run_job(parser: argparse.ArgumentParser, kind: type[BeamRequest], job: str, arguments: Sequence[str] | None) -> int:
    """Run a job's command line (None: the process' own), which continues when it is given again.

    Args:
        parser: of our own options.
        kind: the dataclass of what they ask for.
        job: the module whose `do_job` does the work, with the request and the words that are left for Beam, and returns
            the exit code; it takes seconds to import.
        arguments: the command line.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)

    def work() -> int:
        request, rest = parse_request(kind, parser, words)
        with collector.at_rest():
            do_job = import_module(job).do_job
        code: int = do_job(request, rest)
        return code

    again = "without --overwrite " if "--overwrite" in words else ""
    return run_command(work, f"the same command {again}continues")
