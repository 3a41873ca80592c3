"""The main job of another checkout and of this one in turns: processor time and peak memory.

    python scripts/measure/turns.py OTHER [--repeats 5] -- --input FILE --model MODEL [OPTION ...]

OTHER is a folder with another commit, as `git archive COMMIT | tar x -C OTHER` leaves it. What stands behind -- are
the jobs' options. Seconds are those that processors worked for the job, so that what else runs matters little; memory
is the most that its largest process held.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

HERE = Path(__file__).resolve().parents[2]


class Cost(NamedTuple):
    """Of a job."""

    seconds: float  # of processors
    gigabytes: float


def cost(checkout: Path, options: Sequence[str]) -> Cost:
    """Do a job in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pipelines.rerank", *options, f"--output={folder}/out"]
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        process = subprocess.Popen(command, cwd=checkout, env=environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the job of {checkout} failed")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("options", nargs="+")
    arguments = parser.parse_args()
    costs: dict[Path, list[Cost]] = {arguments.other.resolve(): [], HERE: []}
    for _ in range(arguments.repeats):
        for checkout, measured in costs.items():
            measured.append(cost(checkout, arguments.options))
    other, here = (Cost(*map(median, zip(*measured, strict=True))) for measured in costs.values())
    for name, what in ((str(arguments.other), other), ("here", here)):
        print(f"{name}: {what.seconds:.1f} s, {what.gigabytes:.3f} GB at its peak")
    times, memory = here.seconds / other.seconds, here.gigabytes / other.gigabytes
    print(f"here: {times:.3f} of the other's time, {memory:.3f} of its memory")
    for repeat, (before, now) in enumerate(zip(*costs.values(), strict=True), start=1):
        print(f"  {repeat}: {before.seconds:.1f} and {now.seconds:.1f} s, {now.seconds / before.seconds:.3f}")


if __name__ == "__main__":
    main()
