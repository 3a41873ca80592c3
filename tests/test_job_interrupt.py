"""A job that is stopped from the keyboard, or killed, and started again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.job_run import RUNNER, parts, rerank, write_letters
from tests.scoring import tiny


def start(source: Path, output: Path, model: Path) -> subprocess.Popen[str]:
    """The job in a process of its own, with a shard for each of many queries."""
    command = [
        *(sys.executable, "-m", "pipelines.rerank", "--input", str(source), "--output", str(output)),
        *("--model", str(model), "--dtype", "float32", "--shard_pairs", "1", RUNNER),
    ]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


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
    process = start(source, tmp_path / "out", model)
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
