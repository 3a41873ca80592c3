"""What can be known of a job's runner without Beam, which takes a second to import."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence

from pipelines.running.request import JobRequest
from transforms.base.errors import UserError
from transforms.base.files import is_local
from transforms.base.request import refuse

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


def check(request: JobRequest, words: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Refuse what is wrong with the words for Beam, before the job's files are read; with Beam only where it is needed.

    Args:
        request: of the job.
        words: Beam's options, as on a command line.
        parser: of the job's own options, which a mistyped word may mean.

    Raises:
        UserError: as `runner.prepare_runner`; or no file system has a path's scheme.
    """
    if is_needed(words, [*request.paths()]):
        from pipelines.running.runner import prepare_runner  # takes a second

        prepare_runner(request, words, parser)


def _without_file_system(paths: Iterable[tuple[str, str]]) -> Iterator[str]:
    for option, path in paths:
        scheme = path.partition("://")[0]
        if not is_local(path) and scheme not in BEAMS_SCHEMES:
            schemes = ", ".join(f"{each}://" for each in BEAMS_SCHEMES)
            yield f"{option} {path}: no file system has {scheme}://; give a path on this machine, or {schemes}"


def is_needed(words: Sequence[str], paths: Collection[tuple[str, str]]) -> bool:
    """Whether Beam is needed to check words for it and read files: it alone knows its options, other runners than its
    own engine, and files elsewhere.

    Args:
        words: for Beam.
        paths: the options that name what is read or written, and each path.

    Raises:
        UserError: as `runner_of`; or no file system has a path's scheme.
    """
    if "apache_beam" not in sys.modules and not any(word.startswith("--beam_plugin") for word in words):
        refuse(_without_file_system(paths))
    name, others = split_runner(words)
    return runner_of(name) not in LOCAL_RUNNERS or bool(others) or not all(is_local(path) for _, path in paths)


def split_runner(words: Sequence[str]) -> tuple[str, list[str]]:
    """The runner that the words name, and the other words."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--runner", default="DirectRunner")
    try:
        options, others = parser.parse_known_args(words)
    except argparse.ArgumentError as error:
        raise UserError(f"{error}; give --runner=DirectRunner, say") from None
    return options.runner, others


def runner_of(name: str) -> str:
    """The runner of this name as Beam reads it, in whatever case and with or without "Runner" at its end.

    Raises:
        UserError: there is none, or it is known to lose data.
    """
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
