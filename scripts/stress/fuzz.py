"""Fuzz the planner, the validator, the packer, the ranker and the whole job, with other inputs each time.

    python scripts/stress/fuzz.py --examples 20000 --seed 1

Runs tests/pipelines/rerank/test_properties.py with so many examples of each part, and a tenth as many whole jobs. The
same seed draws the same inputs. What breaks a property is printed, made as small as it can be.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=20_000, help="of each part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="WORD", help="planner, validator, packer, ranker or jobs")
    arguments = parser.parse_args()
    command = [
        *(
            sys.executable,
            "-m",
            "pytest",
            "tests/pipelines/rerank/test_properties.py",
            "-q",
            "--durations=0",
            "-k",
            arguments.only,
        ),
        f"--hypothesis-seed={arguments.seed}",
    ]
    environment = os.environ | {"RERANK_FUZZ_EXAMPLES": str(arguments.examples)}
    return subprocess.run(command, cwd=REPOSITORY, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
