"""A benchmark that is killed or stopped continues."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.benchmark.__main__ import main
from tests.support.benchmark_cells import RUNNER, cells_of
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import parts
from tests.support.stub_endpoint import Hold, RerankServer, unless
from transforms.base.errors import UserError
from transforms.job.lock import lock


def run_main(words: list[str]) -> None:
    sys.exit(main(words))


def test_a_killed_benchmark_goes_on_within_the_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is killed while the model, an API, holds the answer for the sixth of eight shards."""
    lists = [query(f"q{q}", [candidate("d0", f"0.{q}1"), candidate("d1", f"0.{q}2")]) for q in range(8)]
    write(tmp_path / "in.parquet", nested_table(lists))
    (tmp_path / "in.qrels").write_text("".join(f"q{q} 0 d0 1\n" for q in range(8)))
    hold, results = Hold(), tmp_path / "results"
    with RerankServer(habit=unless(lambda documents: "0.51" in documents, hold)) as server:
        sets = ["--datasets", f"x={tmp_path}/in.parquet,{tmp_path}/in.qrels"]
        words = ["--models", f"m={server.address}", *sets, "--output", str(results), "--shard_pairs", "1", RUNNER]
        process = multiprocessing.get_context("forkserver").Process(target=run_main, args=(words,))
        process.start()
        hold.wait_for(1)
        process.kill()
        process.join(300)
        assert process.exitcode == -signal.SIGKILL
        [job] = results.glob("jobs/x/*")
        wait_until_unlocked(job)
        before = parts(job)
        assert len(before) == 5
        assert not (results / "cells").exists()
        assert main([*words, "--plan"]) == 0
        assert capsys.readouterr().out.splitlines()[1].split() == ["m", "x", "begun", "6", "?", "?"]

        hold.let_go()
        assert main(words) == 0
    assert before.items() <= parts(job).items()
    assert len(parts(job)) == 8
    cell = cells_of(results)["m", "x"]
    assert (cell.pairs, cell.measures[0]["input_order"]) == (16, 1.0)
    assert cell.value == pytest.approx(1 / math.log2(3))
    assert cell.run["pairs"] == 6, "the last run's alone"


def wait_until_unlocked(job: Path) -> None:
    """Until the cell's own process has seen that the one that started it is gone."""
    for _ in range(30_000):
        try:
            with lock(str(job)):
                return
        except UserError:
            time.sleep(0.01)
    raise AssertionError("the cell's process outlives the benchmark's")


def test_sigterm_ends_a_benchmark_with_143_and_the_same_command_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERANK_API_KEY", "some-key")
    lists = [query(f"q{q}", [candidate("d0", f"0.{q}1"), candidate("d1", f"0.{q}2")]) for q in range(3)]
    write(tmp_path / "in.parquet", nested_table(lists))
    (tmp_path / "in.qrels").write_text("".join(f"q{q} 0 d0 1\n" for q in range(3)))
    output, hold = tmp_path / "results", Hold()
    with RerankServer(habit=hold) as server:
        data = f"a={tmp_path}/in.parquet,{tmp_path}/in.qrels"
        words = [
            "--models",
            f"api={server.address}",
            "--datasets",
            data,
            "--output",
            str(output),
            "--shard_pairs",
            "1",
            RUNNER,
        ]
        with subprocess.Popen(
            [sys.executable, "-m", "pipelines.benchmark", *words],
            env=os.environ | {"TMPDIR": str(tmp_path)},
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            hold.wait_for(1)
            process.send_signal(signal.SIGTERM)
            assert process.stderr
            assert any("finishing the shard in hand" in line for line in process.stderr)
            hold.let_go()
            errors = process.stderr.read()
        assert process.returncode == 143
        assert errors.splitlines()[-1] == "interrupted: the same command continues"
        assert not [*tmp_path.glob("offline-rerank-*")]
        assert main(words) == 0
    assert [*cells_of(output)] == [("api", "a")]
