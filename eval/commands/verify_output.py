"""`python -m eval verify-output`: reads a job's output from end to end."""

from __future__ import annotations

import argparse

from transforms.base.words import number_of
from transforms.output.parts import Part
from transforms.output.verification import problems


def run(args: argparse.Namespace) -> int:
    """Prints what is wrong, or that nothing is; returns the exit code.

    Raises:
        UserError: there is no job's output.
        OSError: a file cannot be read.
    """
    parts: dict[str, Part] = {}
    lines = list(problems(args.output, parts))
    print("\n".join(lines) if lines else f"{args.output} is whole: {_counted(parts)}")
    return int(bool(lines))


def _counted(parts: dict[str, Part]) -> str:
    pairs, scored = (sum(part.counts[name] for part in parts.values()) for name in ("pairs", "scored"))
    return f"{number_of(len(parts), 'part', 'parts')}, {scored:,} of {pairs:,} pairs scored"
