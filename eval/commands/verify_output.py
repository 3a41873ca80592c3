"""`python -m eval verify-output`: reads a job's output from end to end."""

from __future__ import annotations

from eval.commands.requests import VerifyOutputRequest
from transforms.base.words import number_of
from transforms.output.parts import Part
from transforms.output.verification import problems


def run(request: VerifyOutputRequest) -> int:
    """Prints what is wrong, or that nothing is; returns the exit code.

    Raises:
        UserError: there is no job's output.
        OSError: a file cannot be read.
    """
    parts: dict[str, Part] = {}
    lines = list(problems(request.output, parts))
    print("\n".join(lines) if lines else f"{request.output} is whole: {_counted(parts)}")
    return int(bool(lines))


def _counted(parts: dict[str, Part]) -> str:
    pairs, scored = (sum(part.counts[name] for part in parts.values()) for name in ("pairs", "scored"))
    return f"{number_of(len(parts), 'part', 'parts')}, {scored:,} of {pairs:,} pairs scored"
