"""Kill the main job again and again at random moments, start it again until it is done, and compare bytes.

    python scripts/stress/kill_and_resume.py --kills 20
    python scripts/stress/kill_and_resume.py --kills 20
    python scripts/stress/kill_and_resume.py --kills 9 -- --direct_running_mode=multi_processing --direct_num_workers=2
First the job runs undisturbed. Then the same job, on another output, is struck by SIGKILL at a moment drawn from the
whole of the undisturbed run's duration, and the same command is started again until it is done; then it all begins
anew, until the kills are used up. Each time both outputs must hold the same part files, byte for byte.

Where the job has worker processes, every other kill, by chance, hits one of them; the job must then end with exit code
1 by itself. Otherwise the job's own process is killed, and its workers must end by themselves.
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

import psutil

from transforms.layout import PART_PATTERN

REPOSITORY = Path(__file__).resolve().parents[2]
WORKER = "pipelines.running.worker"  # the module that is a worker process
SECONDS_TO_END = 60.0  # after a process was killed, for those that depend on it


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
        for path in sorted(output.glob(f"*/{PART_PATTERN}"))
    }


def workers(process: psutil.Process) -> list[psutil.Process]:
    """The worker processes of the job."""
    processes = []
    for child in process.children(recursive=True):
        try:
            if any(WORKER in word for word in child.cmdline()):
                processes.append(child)
        except psutil.NoSuchProcess:  # it has just ended
            continue
    return processes


def strike(process: psutil.Popen, chance: random.Random) -> str:
    """Kills the job's own process or one of its workers, and waits for the others to end; returns what was hit.

    Raises:
        SystemExit: they did not end, or not as they should.
    """
    children = workers(process)
    hit = chance.choice(children) if children and chance.random() < 0.5 else process
    hit.kill()
    _, left = psutil.wait_procs([process, *children], timeout=SECONDS_TO_END)
    for one in left:
        one.kill()
    if left:
        lasting = "the job" if process in left else f"{len(left)} worker processes"
        raise SystemExit(f"{lasting} did not end within {SECONDS_TO_END:.0f} s")
    if hit != process and process.returncode not in (0, 1):
        raise SystemExit(f"a worker was killed, and the job ended with {process.returncode}")
    return "the job" if hit == process else f"a worker, exit code {process.returncode}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--input", default=str(REPOSITORY / "demo" / "*.parquet"))
    parser.add_argument("--model", default="small-cross-encoder")
    parser.add_argument("--shard_pairs", type=int, default=50)
    parser.add_argument("extra", nargs="*", help="further options of the job, after --")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, disturbed, errors = Path(folder, "undisturbed"), Path(folder, "disturbed"), Path(folder, "errors")
        start = time.monotonic()
        subprocess.run(command(arguments, undisturbed), check=True, cwd=REPOSITORY, capture_output=True)
        duration = time.monotonic() - start
        print(f"undisturbed: {duration:.1f} s, {len(parts(undisturbed))} part files", flush=True)

        expected = parts(undisturbed)
        kills = 0
        while True:
            with errors.open("wb") as stream:
                process = psutil.Popen(
                    command(arguments, disturbed), cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=stream
                )
            # One that has all its parts may end, and the next begins anew: a kill then could do no harm.
            complete = len(parts(disturbed)) == len(expected)
            spared = complete or kills == arguments.kills
            moment = None if spared else chance.uniform(0, duration)
            try:
                process.wait(timeout=moment)
            except psutil.TimeoutExpired:
                hit = strike(process, chance)
                kills += 1
                print(
                    f"kill {kills}: {hit}, after {moment:.1f} s, {len(parts(disturbed))} part files so far", flush=True
                )
                continue
            if process.returncode:
                print(f"the job failed with {process.returncode}:\n{errors.read_text()}")
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
