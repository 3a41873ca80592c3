"""Rerank candidate lists: `python -m pipelines.rerank`, or from Python.

from pipelines.rerank import RerankRequest, rerank

finished = rerank(RerankRequest(input=("cands/*.parquet",), output="out", model="small-cross-encoder"))
finished.report["pairs"]["scored"]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

from pipelines.rerank.options import build_parser
from pipelines.rerank.request import RerankRequest
from pipelines.running import before_beam
from pipelines.running.command import parse_request
from pipelines.running.options import words_of
from transforms.base import collector, files
from transforms.base.errors import UserError
from transforms.base.temporary import temporary_folder
from transforms.job import directory
from transforms.layout import CONVERTED_DIRECTORY

__all__ = ["Finished", "RerankRequest", "rerank"]


class Finished(NamedTuple):
    """What a job left.

    Attributes:
        output: its directory.
        report: the contents of report.json; empty after a dry run.
        complete: whether _SUCCESS is written, so not where more was rejected than `max_rejected` allows.
    """

    output: str
    report: Mapping[str, Any]
    complete: bool


def rerank(request: RerankRequest, beam: Sequence[str] = ()) -> Finished:
    """Do a reranking job, or what is missing of it, as the command line does.

    In another thread than the main one no signal handlers are set: Ctrl-C and SIGTERM do not stop it there.

    Args:
        request: what to do.
        beam: options of Beam's runner, as on a command line; none for one process on this machine.

    Raises:
        UserError: a field has a value that its option does not take, or another mistake that can be fixed.
        KeyboardInterrupt: it was stopped, after the shard in hand.
    """
    if isinstance(beam, str):
        raise UserError(f"beam: a str; give a list of words, [{beam!r}]")
    parser = build_parser()
    # Each value is checked as the command line's is.
    return _finish(*parse_request(RerankRequest, parser, words_of(parser, request), beam))


def do_job(request: RerankRequest, words: Sequence[str]) -> int:
    """Do what a command line asks for, as `rerank` does; returns the exit code."""
    return int(not _finish(request, words).complete)


def _finish(request: RerankRequest, words: Sequence[str]) -> Finished:
    if request.gpu is not None:
        from pipelines.rerank import cards

        print(cards.plan(request, words))
        return Finished(request.output, {}, True)
    before_beam.check(request, words, build_parser())
    with collector.at_rest():
        from pipelines.rerank.inputs import find_inputs  # takes a while

    output = files.absolute(request.output)
    converted = nullcontext(files.join(output, CONVERTED_DIRECTORY))
    with directory.no_empty_directories(output), temporary_folder() if request.dry_run else converted as folder:
        inputs = find_inputs(request, folder)
        with collector.at_rest():
            from pipelines.rerank import job  # takes seconds

        return job.rerank(request, words, inputs)
