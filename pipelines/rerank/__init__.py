"""Rerank candidate lists: `python -m pipelines.rerank`, or from Python.

from pipelines.rerank import RerankRequest, rerank

finished = rerank(RerankRequest(input=("cands/*.parquet",), output="out", model="small-cross-encoder"))
finished.report["pairs"]["scored"]
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipelines.rerank.request import RerankRequest
from transforms.base.request import check, refuse, request_of

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
    from pipelines.rerank.options import build_parser
    from pipelines.running.options import split, words_of

    parser = build_parser()
    options, _ = split(parser, words_of(parser, request))  # each value is checked as the command line's is
    wanted = request_of(RerankRequest, options)
    check(wanted)
    return _finish(wanted, beam)


def do_job(request: RerankRequest, words: Sequence[str]) -> int:
    """Do what a command line asks for, as `rerank` does; returns the exit code."""
    return int(not _finish(request, words).complete)


def _finish(request: RerankRequest, words: Sequence[str]) -> Finished:
    if request.gpu is not None:
        from pipelines.rerank import cards

        print(cards.plan(request, words))
        return Finished(request.output, {}, True)
    runner = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    runner.add_argument("--runner", default="DirectRunner")
    if runner.parse_known_args(words)[0].runner == "DirectRunner":
        refuse(request.missing_files())  # to other runners this machine's disk may mean nothing
    from pipelines.rerank import job  # takes seconds

    return job.rerank(request, words)
