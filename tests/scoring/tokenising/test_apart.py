from __future__ import annotations

from collections.abc import Iterator, Sequence

import psutil
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from transforms.scoring.packed import threads
from transforms.scoring.packed.ragged import Ids
from transforms.scoring.results import Failure
from transforms.scoring.tokenising import apart as module
from transforms.scoring.tokenising.apart import Apart, apart
from transforms.scoring.tokenising.tokeniser import Tokeniser, tokeniser_of

TEXTS = ["a b", "", "a c", "b", "\U0001f600", *(" ".join("ab" * n) for n in range(50))]


@pytest.fixture(scope="module")
def backend() -> Tokenizer:
    """Of two words; it fails on all others."""
    tokenizer = Tokenizer(WordLevel({"a": 0, "b": 1}, unk_token="?"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return tokenizer


@pytest.fixture(scope="module")
def started(backend: Tokenizer) -> Iterator[Apart]:
    tokeniser = Apart(backend, 2)
    for process in tokeniser._processes:
        assert process.ready.wait(300)
    yield tokeniser
    tokeniser.close()


def lists(encoded: Sequence[Ids | Failure]) -> list[list[int] | Failure]:
    return [one if isinstance(one, Failure) else one.tolist() for one in encoded]


def test_processes_give_the_ids_of_this_one(
    started: Apart, backend: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = lists(Tokeniser(backend).encode(TEXTS))
    assert [place for place, one in enumerate(wanted) if isinstance(one, Failure)] == [2, 4]
    monkeypatch.setattr(started, "_here", None)
    assert lists(started.encode(TEXTS)) == wanted
    assert lists(started.encode(TEXTS[:1])) == wanted[:1]
    assert started.encode([]) == []
    assert started.name == tokeniser_of(backend).name


def test_work_goes_on_here_when_a_process_has_died_and_none_is_left_behind(
    started: Apart, backend: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    """The last test with these processes."""
    first, second = (psutil.Process(process.popen.pid) for process in started._processes)
    second.kill()
    second.wait(60)
    for _ in range(2):
        assert lists(started.encode(TEXTS)) == lists(Tokeniser(backend).encode(TEXTS))
    assert [record.getMessage() for record in caplog.records] == [
        "a process that tokenises has died; it is done without them"
    ]
    started.close()
    assert not first.is_running()


def test_until_the_processes_have_started_work_is_done_here(backend: Tokenizer) -> None:
    tokeniser = Apart(backend, 2)
    processes = [psutil.Process(process.popen.pid) for process in tokeniser._processes]
    for process in processes:
        process.suspend()
    assert lists(tokeniser.encode(TEXTS)) == lists(Tokeniser(backend).encode(TEXTS))
    for process in processes:
        process.resume()
    del tokeniser
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive, "they end with the tokeniser"


@pytest.mark.parametrize(("cores", "processes"), [(1, 0), (2, 0), (3, 2), (16, 4)])
def test_processes_are_for_the_cores_that_this_one_leaves(
    cores: int, processes: int, backend: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counted:
        def __init__(self, backend: Tokenizer, processes: int) -> None:
            self.processes = processes

    monkeypatch.setattr(module, "Apart", Counted)
    monkeypatch.setenv("RAYON_NUM_THREADS", str(cores))
    assert threads.tokenising_threads() == cores
    assert getattr(apart(backend), "processes", 0) == processes
    assert getattr(apart(backend, sharers=4), "processes", 0) == (3 if cores == 16 else 0)
