"""What can be known of a job's runner without Beam, which takes a second to import."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Iterable, Iterator, Sequence

from pipelines.running import dataflow_options
from pipelines.running.beam_source import declared
from pipelines.running.dataflow_options import DataflowOptions, is_runner
from pipelines.running.request import BeamRequest, JobRequest
from transforms.base.errors import UserError
from transforms.base.files import is_local
from transforms.base.reading import Parsed, names_of, parsed, unknown
from transforms.base.request import answers_of, refusals

LOCAL_RUNNERS = ("DirectRunner", "FnApiRunner")
RUNNERS_THAT_LOSE_DATA = {"DaskRunner": "it drops what a step emits when a bundle ends"}
# Beam's own (StandardOptions.KNOWN_RUNNER_NAMES); any other goes by the full name of its class, which has dots.
BEAMS_RUNNERS = (
    "DataflowRunner",
    "BundleBasedDirectRunner",
    "DirectRunner",
    "SwitchingDirectRunner",
    "InteractiveRunner",
    "FlinkRunner",
    "FnApiRunner",
    "KafkaStreamsRunner",
    "PortableRunner",
    "PrismRunner",
    "SparkRunner",
    "TestDirectRunner",
    "TestDataflowRunner",
)

# The file systems that Beam has. Others are somebody's own, and known to Beam once they are imported, by a program of
# that somebody or for --beam_plugins.
BEAMS_SCHEMES = ("gs", "s3", "hdfs", "azfs")


def complaints(request: BeamRequest, words: Sequence[str], our_names: Sequence[str]) -> Iterator[str]:
    """What is wrong with the words for Beam and the places of a request, as far as is known at once; a part of a line
    each.

    Args:
        request: of the job.
        words: Beam's options, as on a command line.
        our_names: the job's own options, one of which a mistyped word may mean.
    """
    if "apache_beam" not in sys.modules and not any(word.startswith("--beam_plugin") for word in words):
        yield from answers_of(
            request,
            lambda: _without_file_system(request.paths()),
            lambda: _without_file_system(request.paths_here()),
        )
    name, others = split_runner(words)
    yield from refusals(lambda: runner_of(name))
    if (beam := _parser()) is not None:
        read = parsed(beam, others)
        yield from unknown_to_beam(read, our_names, beam)
        yield from runner_refusals(name, read.options.direct_num_workers, read.options.job_endpoint)
        hints = read.options.resource_hints
        known = all(hint.startswith("accelerator=") for hint in hints)  # others are for Beam to judge
        if is_runner(name, dataflow_options.RUNNER) and known and not read.wrong:
            yield from dataflow_options.complaints(request, DataflowOptions.of(vars(read.options)))


def runner_refusals(runner: str, workers: int, endpoint: str | None) -> Iterator[str]:
    """What is wrong with the options of a runner that Beam itself does not check, a part of a line each.

    Args:
        runner: its name, as given.
        workers: --direct_num_workers.
        endpoint: --job_endpoint; None where it is not given.
    """
    if workers < 0:
        yield f"--direct_num_workers {workers}: give a number of processes, or 0 for as many as cores"
    if is_runner(runner, "PortableRunner") and not endpoint:
        yield "--runner PortableRunner: give --job_endpoint=HOST:PORT, where its job service listens"


def unknown_to_beam(read: Parsed, our_names: Sequence[str], beam: argparse.ArgumentParser) -> Iterator[str]:
    """What is wrong with the words that are left for Beam.

    Args:
        read: what `parsed` makes of those.
        our_names: all options of ours, one of which a mistyped word may mean.
        beam: knows Beam's options.
    """
    known = [*our_names, *names_of(beam)]
    yield from unknown(read.rest, known, "neither this command nor Beam has such an option")
    yield from (f"{complaint}, and Beam's documentation for a runner's options" for complaint in read.wrong.values())


def _parser() -> argparse.ArgumentParser | None:
    """Knows Beam's options: its own if it is imported, which may know those of others, else as its source says."""
    if "apache_beam" not in sys.modules:
        return declared()
    from pipelines.running.beam_options import parser_of_all

    return parser_of_all()


def _without_file_system(paths: Iterable[tuple[str, str]]) -> Iterator[str]:
    for option, path in paths:
        scheme = path.partition("://")[0]
        if not is_local(path) and scheme not in BEAMS_SCHEMES:
            schemes = ", ".join(f"{each}://" for each in BEAMS_SCHEMES)
            yield f"{option} {path}: no file system has {scheme}://; give a path on this machine, or {schemes}"


def check(request: JobRequest, words: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Refuse what Beam alone knows to be wrong with the words for it, before the job's files are read.

    Args:
        request: of the job.
        words: Beam's options, as on a command line.
        parser: of the job's own options, which a mistyped word may mean.

    Raises:
        UserError: as `runner.prepare_runner`.
    """
    if is_needed(request, words):
        from pipelines.running.runner import prepare_runner  # takes a second

        prepare_runner(request, words, parser)


def is_needed(request: BeamRequest, words: Sequence[str]) -> bool:
    """Whether Beam is needed to check words for it and read files: it alone knows what its options mean together, other
    runners than its own engine, and files elsewhere.

    Args:
        request: of the job.
        words: for Beam.

    Raises:
        UserError: as `runner_of`.
    """
    name, others = split_runner(words)
    paths = [*request.paths(), *request.paths_here()]
    return runner_of(name) not in LOCAL_RUNNERS or bool(others) or not all(is_local(path) for _, path in paths)


def split_runner(words: Sequence[str]) -> tuple[str, list[str]]:
    """The runner that the words name, and the other words."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runner", default="DirectRunner", const="", nargs="?")
    options, others = parser.parse_known_args(words)
    return options.runner, others


def runner_of(name: str) -> str:
    """The runner of this name as Beam reads it, in whatever case and with or without "Runner" at its end.

    Raises:
        UserError: there is none, or it is known to lose data.
    """
    if not name:
        raise UserError("--runner: no name is given; give --runner=DirectRunner, say")
    known = {each.lower(): each for each in (*BEAMS_RUNNERS, *RUNNERS_THAT_LOSE_DATA)}
    runner = known.get(name.lower()) or known.get(f"{name.lower()}runner") or name
    if runner in RUNNERS_THAT_LOSE_DATA:
        why = RUNNERS_THAT_LOSE_DATA[runner]
        raise UserError(f"--runner {name} loses data: {why}; use DirectRunner or DataflowRunner")
    if runner not in BEAMS_RUNNERS and "." not in runner:
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.8)
        hint = f"did you mean {known[near[0]]}?" if near else "give DirectRunner, DataflowRunner, FlinkRunner, say"
        raise UserError(f"--runner {name}: Beam has no such runner; {hint}")
    return runner
