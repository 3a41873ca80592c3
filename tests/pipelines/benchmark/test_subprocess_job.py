"""Work in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipelines.benchmark.subprocess_job import ApartError, run_apart
from tests.support.benchmark_cells import complain
from transforms.base.command import WorkerDiedError
from transforms.base.errors import UserError


def die(number: int) -> int:
    os.kill(os.getpid(), number)
    return 0


def test_work_apart_gives_back_its_result_or_its_error() -> None:
    assert run_apart(divmod_first, 7, 2) == 3
    with pytest.raises(UserError, match="fix it"):
        run_apart(complain, "user")
    with pytest.raises(ApartError, match="a bug"):
        run_apart(complain, "bug")
    with pytest.raises(ApartError, match="killed, as systems do to one that takes too much memory"):
        run_apart(die, signal.SIGKILL)
    with pytest.raises(ApartError, match="ended with exit code -12"):
        run_apart(die, signal.SIGUSR2)  # which nohup does not ignore
    with pytest.raises(KeyboardInterrupt):
        run_apart(die, signal.SIGTERM)


def test_work_apart_needs_no_short_temporary_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    work = "import operator as o, pipelines.benchmark.subprocess_job as j; print(j.run_apart(o.floordiv, 7, 2))"
    environment = os.environ | {"TMPDIR": str(folder)}
    ended = subprocess.run([sys.executable, "-c", work], env=environment, capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("3\n", "")


def lose_a_worker(late: Path) -> int:
    def wait() -> None:
        time.sleep(300)
        late.touch()

    threading.Thread(target=wait).start()
    raise WorkerDiedError("a worker process died")


def test_work_apart_that_lost_a_worker_waits_for_no_thread(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^a worker process died$"):
        run_apart(lose_a_worker, tmp_path / "late")
    assert not (tmp_path / "late").exists()


def wait_for_ever(mark: Path) -> int:
    mark.touch()
    while True:
        time.sleep(1)


def test_ctrl_c_reaches_work_apart_once_and_ends_it(tmp_path: Path) -> None:
    mark, ended = tmp_path / "begun", threading.Event()

    def press() -> None:
        while not mark.exists():
            if ended.wait(0.01):
                return
        os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_apart(wait_for_ever, mark)
    finally:
        ended.set()
        presser.join()


def divmod_first(number: int, divisor: int) -> int:
    return divmod(number, divisor)[0]
