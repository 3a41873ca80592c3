from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from tests.support.full_disk import full_disk
from tests.support.object_store import ObjectStore
from transforms.base import files
from transforms.base.errors import UnavailableError, UserError
from transforms.job import lock as locks
from transforms.job.lock import lock


def test_lock_makes_the_directory_and_leaves_nothing(output: str) -> None:
    with lock(output):
        assert len(files.list_names(output)) == 1
    assert files.list_names(output) == []


def test_second_is_refused_with_who_and_since_when(output: str) -> None:
    with lock(output), pytest.raises(UserError) as error, lock(output):
        pass
    assert re.fullmatch(
        rf"output {output} is in use by another job \(host [^ ,]+, process {os.getpid()}, "
        r"since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\); wait for it[^\n]*, or give another --output",
        str(error.value),
    )


def test_lock_is_free_again_after_success_and_after_an_error(output: str) -> None:
    with lock(output):
        pass
    with pytest.raises(KeyboardInterrupt), lock(output):
        raise KeyboardInterrupt
    with lock(output):
        pass


def test_a_full_disk_is_one_line_and_leaves_no_lock(tmp_path: Path) -> None:
    message = rf"^output {tmp_path} cannot be written to: \[Errno 27\] File too large; make room, and give the same"
    with pytest.raises(UnavailableError, match=message), full_disk(), lock(str(tmp_path)):
        pass
    assert [*tmp_path.iterdir()] == []


def test_a_filesystem_that_fails_meanwhile_hides_no_error(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise OSError(errno.EROFS, "Read-only file system")

    def fail() -> NoReturn:
        monkeypatch.setattr(Path, "unlink", refuse)
        monkeypatch.setattr(ObjectStore, "delete", refuse)
        raise UserError("a part cannot be written")

    with pytest.raises(UserError, match=r"^a part cannot be written$"), lock(output):
        fail()


def test_refusal_leaves_the_first_its_lock(output: str) -> None:
    with lock(output):
        for _ in range(2):
            with pytest.raises(UserError), lock(output):
                pass


def hold(output: str, ready: Connection) -> None:
    with lock(output):
        ready.send("held")
        time.sleep(600)


def test_killed_holder_frees_a_local_lock_at_once(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=hold, args=(output, theirs))
    process.start()
    theirs.close()  # so that one that dies before it says anything ends the wait for it
    assert ours.recv() == "held"
    with pytest.raises(UserError, match=f"process {process.pid},"), lock(output):
        pass
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert files.list_names(output) == ["_lock"]
    with lock(output):
        pass


def test_lock_whose_holder_has_not_said_yet_who_it_is(tmp_path: Path) -> None:
    with lock(str(tmp_path)):
        (tmp_path / "_lock").write_text("")
        with pytest.raises(UserError, match=r"in use by another job \(just started\)"), lock(str(tmp_path)):
            pass


# A lease, where the filesystem has no locks

OUTPUT = "mem://bucket/out"


def put_lease(alive: float) -> None:
    lease = {"host": "h", "process": 7, "since": "s", "token": "theirs", "alive": alive}
    files.write_text_atomically(f"{OUTPUT}/_lock.json", json.dumps(lease))


def read_lease() -> dict[str, Any]:
    lease: dict[str, Any] = json.loads(files.read_text(f"{OUTPUT}/_lock.json"))
    return lease


def set_clock(monkeypatch: pytest.MonkeyPatch, now: float) -> None:
    monkeypatch.setattr(locks, "time", SimpleNamespace(time=lambda: now))


def test_lease_is_refused_while_it_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    put_lease(alive=1000.0)
    set_clock(monkeypatch, 1119.9)
    match = r"\(host h, process 7, since s\); wait for it or until 120 seconds after it died"
    with pytest.raises(UserError, match=match), lock(OUTPUT):
        pass
    assert read_lease()["token"] == "theirs"


def test_stale_lease_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    put_lease(alive=1000.0)
    set_clock(monkeypatch, 1120.0)
    with lock(OUTPUT):
        assert read_lease()["process"] == os.getpid()
    assert files.list_names(OUTPUT) == []


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_lease_is_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    ObjectStore.objects.clear()
    monkeypatch.setattr(locks, "SECONDS_BETWEEN_BEATS", 0.01)
    with lock(OUTPUT):
        first = read_lease()
        wait_until(lambda: read_lease()["alive"] > first["alive"])
        assert read_lease()["token"] == first["token"]


def test_lease_that_another_took_over_is_left_to_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ObjectStore.objects.clear()
    monkeypatch.setattr(locks, "SECONDS_BETWEEN_BEATS", 0.01)
    with lock(OUTPUT):

        def lease_is_given_up() -> bool:
            put_lease(alive=time.time())  # again, since a beat that was under way may have written over it
            return "another job has taken mem://bucket/out/_lock.json over" in caplog.text

        wait_until(lease_is_given_up)
    assert read_lease()["token"] == "theirs"


def test_a_link_with_the_name_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    """What it leads to, the input say, would be overwritten."""
    target = tmp_path / "in.parquet"
    target.write_text("work")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "_lock").symlink_to(target)
    with pytest.raises(UserError) as error, lock(str(tmp_path / "out")):
        pass
    assert str(error.value) == (
        f"output {tmp_path}/out cannot be written to: [Errno 40] Too many levels of symbolic links: "
        f"'{tmp_path}/out/_lock'; give another --output"
    )
    assert target.read_text() == "work"
