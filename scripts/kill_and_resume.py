"""Kill the main job again and again at random moments, start it again until it is done, and compare bytes.

    python scripts/kill_and_resume.py --kills 20

First the job runs undisturbed. Then the same job, on another output, is sent SIGKILL at a moment drawn from the whole
of the undisturbed run's duration, and the same command is started again until it is done; then it all begins anew,
until the kills are used up. Each time both outputs must hold the same part files, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def command(arguments: argparse.Namespace, output: Path) -> list[str]:
    """The job's command line, in small shards so that there are many commits to hit."""
    return [
        *(sys.executable, "-m", "pipelines.rerank"),
        *("--input", arguments.input, "--output", str(output), "--model", arguments.model),
        *("--shard_pairs", str(arguments.shard_pairs), "--runner", "DirectRunner"),
        *arguments.extra,
    ]


def parts(output: Path) -> dict[str, str]:
    """Digest of each part file by its name in the output."""
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.glob("*/part-*.parquet"))
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--input", default=str(REPOSITORY / "demo" / "*.parquet"))
    parser.add_argument("--model", default="small-cross-encoder")
    parser.add_argument("--shard_pairs", type=int, default=50)
    parser.add_argument("extra", nargs="*", help="further options of the job, after --")
    arguments = parser.parse_args()
    moments = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, disturbed = Path(folder, "undisturbed"), Path(folder, "disturbed")
        start = time.monotonic()
        subprocess.run(command(arguments, undisturbed), check=True, cwd=REPOSITORY, capture_output=True)
        duration = time.monotonic() - start
        print(f"undisturbed: {duration:.1f} s, {len(parts(undisturbed))} part files", flush=True)

        expected = parts(undisturbed)
        kills = 0
        while True:
            process = subprocess.Popen(
                command(arguments, disturbed), cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
            # One that has all its parts may end, and the next begins anew: a kill then could do no harm.
            complete = len(parts(disturbed)) == len(expected)
            spared = complete or kills == arguments.kills
            moment = None if spared else moments.uniform(0, duration)
            try:
                _, errors = process.communicate(timeout=moment)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
                print(f"kill {kills}: after {moment:.1f} s, {len(parts(disturbed))} part files so far", flush=True)
                continue
            if process.returncode:
                print(f"the job failed with {process.returncode}:\n{errors.decode()}")
                return 1
            same = parts(disturbed) == expected
            print(f"done: part files {'byte-identical' if same else 'DIFFER'}", flush=True)
            if not same or kills == arguments.kills:
                break
            shutil.rmtree(disturbed)
        print(f"{kills} kills: part files {'byte-identical' if same else 'DIFFER'}")
        return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
