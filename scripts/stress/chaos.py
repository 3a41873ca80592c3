"""Strike jobs with faults drawn by a seed, give the same command again, and check that nothing was lost or doubled.

    python -m scripts.stress.chaos --faults 1000 --seed 1

Three jobs take turns: a model in one process, a hosted API (a server on loopback, which now and then answers 500, 429
or half an answer, or hangs up), and, for one fault in so many (--two), a model in two worker processes. Each is struck
again and again until all its parts are there; then it begins anew. After the last fault of each the same command must
end with 0, and this must hold:

- the part files are those of the undisturbed run, byte for byte, in which every pair stands once;
- the API answered no document again but those of the shards that were in hand, or damaged, when a fault struck;
- the API's key is in no file of the output and in nothing that was printed.

Jobs are forked from this process, which has imported all that is large, so that one starts in a fraction of a second;
but not those with two processes, which speak over gRPC, and whose clock is left right.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

import pipelines.rerank.job  # noqa: F401 - what takes long to import
from pipelines.rerank.__main__ import main as rerank
from scripts.stress.faults import FAULTS, NONE
from scripts.stress.kill_and_resume import parts
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.stub_endpoint import Exchange, RerankServer, answer, cut, cut_short, status
from transforms.layout import PART_PATTERN, SCORED_DIRECTORY
from transforms.scoring.choices import KEY_VARIABLE
from transforms.scoring.hosted import endpoint

PARTS = f"{SCORED_DIRECTORY}/{PART_PATTERN}"
KEY = "chaos-key-0123456789"
SHARDS, DOCUMENTS = 12, 2  # documents of each shard
SECONDS_TO_END = 180.0  # a job that takes longer hangs
STACKS_AFTER = 0.9 * SECONDS_TO_END  # a job that takes so long writes to its log where it stands
# A job that is not forked: the command itself, in a process where the fault is prepared.
ANEW = (
    "import faulthandler, runpy; faulthandler.dump_traceback_later({limit}); "
    "from scripts.stress.faults import FAULTS; FAULTS[{fault!r}].prepare(); "
    "runpy.run_module('pipelines.rerank', run_name='__main__', alter_sys=True)"
)
FAULTS_FORKED = [name for name in FAULTS if name != NONE]
# A clock that is wrong for Python alone is no fault but a riddle to gRPC, whose deadlines are by the system's.
FAULTS_ANEW = [name for name in FAULTS_FORKED if not name.startswith("clock")]
TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
MISBEHAVIOUR = (status(500), status(429, Retry_After="0"), cut, cut_short)


class JobKind(NamedTuple):
    """A job: its name, its options, the seconds that its undisturbed run takes, and whether it is forked from here."""

    name: str
    options: tuple[str, ...]
    seconds: float
    forked: bool = True


def start(folder: Path, output: Path, kind: JobKind, fault: str) -> int:
    """Starts a job in a process group of its own; returns its process id."""
    words = ["--input", str(folder / "in.parquet"), "--output", str(output), "--runner", "DirectRunner", *kind.options]
    with (folder / "log").open("a") as log:
        print(f"--- {kind.name}: {fault}", file=log, flush=True)
        if not kind.forked:
            command = [sys.executable, "-c", ANEW.format(fault=fault, limit=STACKS_AFTER), *words]
            return subprocess.Popen(command, stdout=log, stderr=log, process_group=0).pid
        if pid := os.fork():
            return pid
        code = 1
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for number in (1, 2):
                os.dup2(log.fileno(), number)
            faulthandler.dump_traceback_later(STACKS_AFTER, file=log)
            FAULTS[fault].prepare()
            code = rerank(words)
        except KeyboardInterrupt:  # before the command could take it
            code = 130
        finally:
            os._exit(code)
    raise AssertionError


def end(pid: int, log: Path | None = None) -> int:
    """The exit code of a job; one that does not end is killed with its process group.

    Raises:
        SystemExit: it does not end; with what its log says.
    """
    limit = time.monotonic() + SECONDS_TO_END
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > limit:
            os.killpg(pid, signal.SIGKILL)
            said = log.read_text(errors="replace")[-6000:] if log else ""
            raise SystemExit(f"a job did not end within {SECONDS_TO_END:.0f} s:\n{said}")
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(ended[1])


def harm(name: str, folder: Path, output: Path, chance: random.Random) -> bool:
    """Does to the files what a fault does before the job runs; whether there was anything to do it to."""
    if name == "removed input":
        (folder / "in.parquet").rename(folder / "away")
        return True
    written = sorted(output.glob(PARTS))
    if not written:
        return False
    part = chance.choice(written)
    content = bytearray(part.read_bytes())
    if name == "removed part":
        part.unlink()
    elif name == "part cut short":
        part.write_bytes(content[: chance.randrange(len(content))])
    else:
        place = content.index(b"\x28\xb5\x2f\xfd") + 4  # in the first page's data: headers and footer have no checksum
        content[place] ^= 1 << chance.randrange(8)
        part.write_bytes(content)
    return True


def strike(name: str, folder: Path, output: Path, kind: JobKind, chance: random.Random) -> int | None:
    """Runs the job with a fault; returns its exit code, or None where there was nothing to strike.

    Raises:
        SystemExit: it ended as it must not.
    """
    fault = FAULTS[name]
    if ("part" in name or "input" in name) and not harm(name, folder, output, chance):
        return None
    pid = start(folder, output, kind, name)
    everybody = chance.random() < 0.5 and signal.SIGKILL not in fault.signals
    for place, number in enumerate(fault.signals):
        time.sleep(0.2 if place else chance.uniform(0, kind.seconds))
        (os.killpg if everybody else os.kill)(pid, number)
    code = end(pid, folder / "log")
    if (folder / "away").exists():
        (folder / "away").rename(folder / "in.parquet")
    if code != 0 and code not in fault.codes:
        raise SystemExit(f"{name}: the job ended with {code}:\n{(folder / 'log').read_text()[-2000:]}")
    return code


def write_input(folder: Path) -> int:
    """Texts that are numbers, which the API takes for scores; no two are the same."""
    lists = [
        query(f"q{q}", [candidate(f"d{d}", f"{q}.{d}5") for d in range(DOCUMENTS)], f"question {q}")
        for q in range(SHARDS)
    ]
    write(folder / "in.parquet", nested_table(lists), row_group_size=1)
    return 0


def serve(folder: Path, seed: int) -> int:
    """The API, which notes what it answered; it never misbehaves twice running, since a document that fails
    again and again is rejected."""
    chance = random.Random(seed)
    running = 0

    def habit(exchange: Exchange) -> None:
        nonlocal running
        running = int(not running and chance.random() < 0.1)
        if running:
            return chance.choice(MISBEHAVIOUR)(exchange)
        with (folder / "answered").open("a") as stream:
            stream.writelines(f"{text}\n" for text in exchange.received.documents if text != "test")
        return answer(exchange)

    with RerankServer(habit=habit) as server:
        (folder / "address.tmp").write_text(server.address)
        (folder / "address.tmp").rename(folder / "address")
        signal.pause()
    return 0


def apart(work: Callable[[], int]) -> int:
    """Forks a process that does work of this script, which must begin no thread itself; returns its process id."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        code = work()
    finally:
        os._exit(code)
    raise AssertionError


def every_pair_once(output: Path) -> int:
    """0 if each pair of the input has one scored row."""
    tables = [pq.ParquetFile(path).read(use_threads=False) for path in sorted(output.glob(PARTS))]
    counted = Counter((row["query_id"], row["doc_id"]) for table in tables for row in table.to_pylist())
    return int(counted != Counter((f"q{q}", f"d{d}") for q in range(SHARDS) for d in range(DOCUMENTS)))


def answered(folder: Path) -> Counter[str]:
    path = folder / "answered"
    return Counter(path.read_text().split()) if path.exists() else Counter()


def check(
    folder: Path, output: Path, expected: dict[str, str], before: Counter[str], faults: int, kind: JobKind
) -> None:
    """Checks a job that has ended after so many faults.

    Raises:
        SystemExit: it lost or doubled something, or showed the key.
    """
    if (present := parts(output)) != expected:
        others = sorted(name for name in present.keys() | expected.keys() if present.get(name) != expected.get(name))
        copy = shutil.copytree(output, tempfile.mkdtemp(prefix="chaos-differs-"), dirs_exist_ok=True)
        raise SystemExit(
            f"{kind.name}: part files DIFFER from the undisturbed run's: {', '.join(others)}; kept in {copy}"
        )
    again = sum((answered(folder) - before).values()) - SHARDS * DOCUMENTS if kind.name == "hosted API" else 0
    if not 0 <= again <= DOCUMENTS * faults:
        raise SystemExit(f"{kind.name}: {again} documents were answered again after {faults} faults")
    for path in [folder / "log", *(path for path in output.rglob("*") if path.is_file())]:
        if KEY.encode() in path.read_bytes():
            raise SystemExit(f"{path.name} holds the key")


def undisturbed(
    folder: Path, name: str, options: tuple[str, ...], forked: bool = True
) -> tuple[JobKind, dict[str, str]]:
    """A kind of job, and the part files of its undisturbed run.

    Raises:
        SystemExit: that fails.
    """
    kind = JobKind(name, options, 0.0, forked)
    begin = time.monotonic()
    if end(start(folder, folder / name, kind, NONE), folder / "log") or end(
        apart(lambda: every_pair_once(folder / name))
    ):
        raise SystemExit(f"{name}: the undisturbed run failed:\n{(folder / 'log').read_text()}")
    kind = kind._replace(seconds=time.monotonic() - begin)
    print(f"{name}: {kind.seconds:.1f} s undisturbed", flush=True)
    return kind, parts(folder / name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--two", type=float, default=0.02, help="share of jobs with two processes; each takes long")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no further job begins")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    endpoint.FIRST_PAUSE = 0.01
    os.environ[KEY_VARIABLE] = KEY
    done: Counter[str] = Counter()
    jobs: Counter[str] = Counter()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        end(apart(lambda: write_input(folder)))
        server = apart(lambda: serve(folder, arguments.seed))
        try:
            while not (folder / "address").exists():
                time.sleep(0.01)
            model = ("--model", "small-cross-encoder", "--dtype", "float32", "--shard_pairs", str(DOCUMENTS))
            kinds = [
                undisturbed(folder, "one process", model),
                undisturbed(folder, "hosted API", ("--model", (folder / "address").read_text())),
            ]
            two = (
                undisturbed(folder, "two processes", (*model, *TWO_PROCESSES), forked=False) if arguments.two else None
            )
            while done.total() < arguments.faults and time.monotonic() - begin < arguments.seconds:
                kind, expected = two if two and chance.random() < arguments.two else chance.choice(kinds)
                output, before, struck = folder / "out", answered(folder), 0
                for _ in range(chance.randint(1, 10)):
                    fault = chance.choice(FAULTS_FORKED if kind.forked else FAULTS_ANEW)
                    if strike(fault, folder, output, kind, chance) is not None:
                        done[fault] += 1
                        struck += 1
                if code := end(start(folder, output, kind, NONE), folder / "log"):
                    raise SystemExit(f"{kind.name}: ended with {code}:\n{(folder / 'log').read_text()[-2000:]}")
                check(folder, output, expected, before, struck, kind)
                jobs[kind.name] += 1
                shutil.rmtree(output)
                (folder / "log").unlink()
                if jobs.total() % 10 == 0:
                    print(f"{done.total()} faults, {jobs.total()} jobs", flush=True)
        finally:
            os.kill(server, signal.SIGKILL)
            end(server)
    for what in (done, jobs):
        print(", ".join(f"{number} {name}" for name, number in sorted(what.items())))
    print(f"seed {arguments.seed}: {done.total()} faults in {jobs.total()} jobs survived")
    return 0


if __name__ == "__main__":
    sys.exit(main())
