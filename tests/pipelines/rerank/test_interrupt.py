"""A job that is stopped from the keyboard, or killed, with and without worker processes, and started again.

See also test_endpoint (a job without worker processes that is killed).

Its scores come from an API that holds its answers, so that it is known what is in hand when the signal comes.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil
import pytest

from pipelines.rerank.__main__ import main
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import RUNNER, parts
from tests.support.stub_endpoint import Hold, RerankServer, answer

ROOT = Path(__file__).resolve().parents[3]
TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")
ANSWERS = 3
SHARDS = 16
FINISHING = "interrupted: finishing the shard in hand; once more to quit at once"
CONTINUES = "interrupted: the same command continues"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_API_KEY", "some-key")


@pytest.fixture
def hold() -> Hold:
    return Hold()


@pytest.fixture
def server(hold: Hold) -> Iterator[RerankServer]:
    """It answers for so many shards, and holds what is asked then."""
    with RerankServer([answer] * ANSWERS, habit=hold) as server:
        yield server
        hold.let_go()


def arguments(folder: Path, server: RerankServer, output: str, *options: str) -> list[str]:
    """Of a job of SHARDS row groups, each a query of two documents and so a request."""
    source = folder / "in.parquet"
    if not source.exists():
        lists = [
            query(f"q{q}", [candidate("d0", f"0.{q}1"), candidate("d1", f"0.{q}2")], f"q{q}") for q in range(SHARDS)
        ]
        write(source, nested_table(lists), row_group_size=1)
    ends = ["--input", str(source), "--output", str(folder / output), "--model", server.address]
    return [*ends, RUNNER, *options]


@contextmanager
def started(folder: Path, *job: str) -> Iterator[subprocess.Popen[str]]:
    """The job in a group of processes of its own, as a terminal has it, with temporary files beside its output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.rerank", *job],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(folder)},
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The job's worker processes, once both are there."""
    children: list[psutil.Process] = []
    while len(children) < 2:
        assert process.poll() is None
        time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
    return children


def press_ctrl_c(process: subprocess.Popen[str]) -> None:
    send_to_all(process, signal.SIGINT)


def send_to_all(process: subprocess.Popen[str], number: int) -> None:
    os.killpg(process.pid, number)


def read_until(stream: IO[str] | None, text: str) -> None:
    assert stream
    assert any(text in line for line in iter(stream.readline, "")), f"never printed: {text}"


def wait_for_parts(folder: Path, number: int) -> None:
    """What is answered is committed beside the next requests."""
    while len(parts(folder / "out")) < number:
        time.sleep(0.05)


def check_that_nothing_is_left(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} <= {"in.parquet", "out", "undisturbed"}


def check_that_it_goes_on(folder: Path, server: RerankServer, done: int) -> None:
    """The same command does what is missing, and gives the bytes of a job that nothing disturbed."""
    before = parts(folder / "out")
    assert len(before) == done
    assert not (folder / "out" / "_SUCCESS").exists()
    assert main(arguments(folder, server, "out")) == 0
    assert main(arguments(folder, server, "undisturbed")) == 0
    assert len(parts(folder / "undisturbed")) == SHARDS
    assert parts(folder / "out") == parts(folder / "undisturbed")
    assert before.items() <= parts(folder / "out").items()


@pytest.mark.parametrize(("options", "in_hand"), [((), 1), (TWO_PROCESSES, 2)], ids=["one process", "two workers"])
def test_ctrl_c_finishes_the_shards_in_hand(
    options: tuple[str, ...], in_hand: int, tmp_path: Path, hold: Hold, server: RerankServer
) -> None:
    with started(tmp_path, *arguments(tmp_path, server, "out", *options)) as process:
        hold.wait_for(in_hand)
        press_ctrl_c(process)
        read_until(process.stderr, FINISHING)
        hold.let_go()
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert errors.splitlines()[-1].endswith(CONTINUES)
    check_that_nothing_is_left(tmp_path)
    check_that_it_goes_on(tmp_path, server, done=ANSWERS + in_hand)


def test_sigterm_finishes_the_shard_in_hand_and_leaves_no_temporary_files(
    tmp_path: Path, hold: Hold, server: RerankServer
) -> None:
    with started(tmp_path, *arguments(tmp_path, server, "out")) as process:
        hold.wait_for(1)
        send_to_all(process, signal.SIGTERM)
        read_until(process.stderr, FINISHING)
        hold.let_go()
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 143
    assert errors.splitlines()[-1].endswith(CONTINUES)
    check_that_nothing_is_left(tmp_path)
    check_that_it_goes_on(tmp_path, server, done=ANSWERS + 1)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_second_signal_does_not_wait_for_the_shard_in_hand(
    number: int, code: int, tmp_path: Path, hold: Hold, server: RerankServer
) -> None:
    with started(tmp_path, *arguments(tmp_path, server, "out")) as process:
        hold.wait_for(1)
        wait_for_parts(tmp_path, ANSWERS)
        send_to_all(process, number)
        read_until(process.stderr, FINISHING)
        send_to_all(process, number)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == code
    assert "interrupted" not in errors
    check_that_nothing_is_left(tmp_path)
    hold.let_go()
    check_that_it_goes_on(tmp_path, server, done=ANSWERS)


def test_a_killed_worker_ends_the_job(tmp_path: Path, hold: Hold, server: RerankServer) -> None:
    with started(tmp_path, *arguments(tmp_path, server, "out", *TWO_PROCESSES)) as process:
        hold.wait_for(2)
        wait_for_parts(tmp_path, ANSWERS)
        killed, other = workers(process)
        killed.kill()
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 1
        _, alive = psutil.wait_procs([other], timeout=60)
    assert not alive, "nothing goes on behind the user's back"
    assert re.fullmatch(
        r"error: a worker process died \(worker subprocess exited with return code -9\), "
        "as one does that takes too much memory; the same command continues",
        next(line for line in errors.splitlines() if "error: " in line).rpartition("\r")[2],
    )
    hold.let_go()
    check_that_it_goes_on(tmp_path, server, done=ANSWERS)


@pytest.mark.parametrize("requests", [0, 2], ids=["as its workers start", "as its workers score"])
def test_a_killed_job_leaves_no_workers(
    requests: int, tmp_path: Path, hold: Hold, server: RerankServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not requests:
        server.script.clear()  # so that nothing is done before the kill
    with started(tmp_path, *arguments(tmp_path, server, "out", *TWO_PROCESSES)) as process:
        hold.wait_for(requests)
        children = workers(process)
        wait_for_parts(tmp_path, ANSWERS if requests else 0)
        process.kill()
        _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    hold.let_go()
    assert [*tmp_path.glob("offline-rerank-*")]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    check_that_it_goes_on(tmp_path, server, done=ANSWERS if requests else 0)
    check_that_nothing_is_left(tmp_path)
