"""A job that is stopped from the keyboard, or killed, and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.job_run import RUNNER, parts, rerank, write_letters
from tests.scoring import tiny


def start(source: Path, output: Path, model: Path, *options: str) -> subprocess.Popen[str]:
    """The job in a process of its own, with temporary files beside its output."""
    command = [
        *(sys.executable, "-m", "pipelines.rerank", "--input", str(source), "--output", str(output)),
        *("--model", str(model), "--dtype", "float32", RUNNER, *options),
    ]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(output.parent)})


def wait_for_parts(output: Path, number: int) -> None:
    while len(list(output.glob("scored/part-*.parquet"))) < number:
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "exit_code", "told"),
    [
        (signal.SIGINT, 130, "interrupted: the same command continues"),
        (signal.SIGKILL, -signal.SIGKILL, ""),
    ],
)
def test_a_stopped_job_goes_on_and_gives_the_same_bytes(
    tmp_path: Path, number: signal.Signals, exit_code: int, told: str
) -> None:
    model = tiny.bert(tmp_path / "model")
    source = write_letters(tmp_path / "in.parquet", queries=400, candidates=2, row_group_size=400)
    process = start(source, tmp_path / "out", model, "--shard_pairs", "1")  # a shard for each of many queries
    wait_for_parts(tmp_path / "out", 3)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == exit_code
    assert (errors.splitlines() or [""])[-1].endswith(told)
    done = parts(tmp_path / "out")
    assert 3 <= len(done) < 400, "stopped half-way"
    assert not (tmp_path / "out" / "_SUCCESS").exists()

    assert rerank(source, tmp_path / "out", model, "--shard_pairs", "1") == 0
    assert rerank(source, tmp_path / "undisturbed", model, "--shard_pairs", "1") == 0
    assert parts(tmp_path / "out") == parts(tmp_path / "undisturbed")
    assert done.items() <= parts(tmp_path / "out").items()


def test_a_second_interrupt_does_not_wait_for_the_shard_in_hand(tmp_path: Path) -> None:
    model = tiny.bert(tmp_path / "model")
    source = write_letters(tmp_path / "in.parquet", queries=80, candidates=100, row_group_size=80)
    options = ("--batch_tokens", "64")  # so that the one shard takes seconds
    process = start(source, tmp_path / "out", model, *options)
    while not list(tmp_path.glob("rerank-progress-*/*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.stderr
    while "once more to quit at once" not in (line := process.stderr.readline()):
        assert line, "it goes on"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted" not in errors
    assert parts(tmp_path / "out") == {}

    assert rerank(source, tmp_path / "out", model, *options) == 0
    assert rerank(source, tmp_path / "undisturbed", model, *options) == 0
    assert parts(tmp_path / "out") == parts(tmp_path / "undisturbed")
