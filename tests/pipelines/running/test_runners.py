"""The same job on Beam's portable runners."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.portability.local_job_service import LocalJobServicer
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.transforms.environments import ExternalEnvironment

from pipelines.running import runner as runners
from pipelines.running.runner import run_to_end
from tests.support.job_run import parts, report, rerank, write_letters

ROOT = Path(__file__).resolve().parents[3]
MODEL = "small-cross-encoder"
TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 pairs in 8 row groups, so that there is work for several processes."""
    return write_letters(tmp_path_factory.mktemp("input") / "in.parquet", queries=16, candidates=3)


@pytest.fixture(scope="module")
def in_memory(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The part files that Beam's in-process engine writes."""
    output = tmp_path_factory.mktemp("in_memory")
    assert rerank(source, output, MODEL) == 0
    assert len(parts(output)) == 8
    return parts(output)


@pytest.fixture
def worker_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a service that starts worker processes when it is asked to."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # it starts `python`
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    address, server = BeamFnExternalWorkerPoolServicer.start(use_process=True)
    yield address
    server.stop(None)


@pytest.fixture
def job_service(tmp_path: Path) -> Iterator[str]:
    service = LocalJobServicer(str(tmp_path / "staging"))
    yield f"localhost:{service.start_grpc_server()}"
    service.stop()


def test_two_worker_processes(source: Path, in_memory: dict[str, bytes], tmp_path: Path) -> None:
    assert rerank(source, tmp_path / "out", MODEL, *TWO_PROCESSES) == 0
    assert parts(tmp_path / "out") == in_memory
    content = report(tmp_path / "out")
    assert content["pairs"]["scored"] == 48
    assert set(content["last_run"]["stage_seconds"]) == {"read", "tokenise", "forward", "write"}
    made = json.loads((tmp_path / "out" / "job.json").read_text())["versions"]
    assert made["tokenising"] == f"tokenizers {made['tokenizers']}, each part once"


def test_external_worker_pool(
    source: Path, in_memory: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker_pool: str
) -> None:
    runner = FnApiRunner(default_environment=ExternalEnvironment(worker_pool))
    monkeypatch.setattr(runners, "runner_of", lambda options: (runner, True))
    assert rerank(source, tmp_path / "out", MODEL, "--direct_num_workers=2") == 0
    assert parts(tmp_path / "out") == in_memory


def test_job_service(
    source: Path, in_memory: dict[str, bytes], tmp_path: Path, job_service: str, worker_pool: str
) -> None:
    options = [f"--job_endpoint={job_service}", "--environment_type=EXTERNAL", f"--environment_config={worker_pool}"]
    assert rerank(source, tmp_path / "out", MODEL, "--runner=PortableRunner", *options) == 0
    assert parts(tmp_path / "out") == in_memory
    assert report(tmp_path / "out")["last_run"]["stage_seconds"]["forward"] > 0, "metrics come back"


@pytest.mark.parametrize(
    ("runner", "message"),
    [
        (
            "DaskRunner",
            "--runner DaskRunner loses data: it drops what a step emits when a bundle ends; "
            "use DirectRunner or DataflowRunner",
        ),
        (
            "PortableRunner",
            "--runner PortableRunner: give --job_endpoint=HOST:PORT, where its job service listens",
        ),
        ("NoSuchRunner", "--runner NoSuchRunner: Beam has no such runner; "),
    ],
)
def test_runners_that_cannot_be_used(
    runner: str, message: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rerank(source, tmp_path / "out", MODEL, f"--runner={runner}") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()


def test_a_job_that_cannot_be_handed_in_is_one_line(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--runner=FlinkRunner", f"--flink_job_server_jar={tmp_path / 'none.jar'}")
    assert rerank(source, tmp_path / "out", MODEL, *options) == 1
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert line.startswith("error: the job could not be handed in: ")


class JobElsewhere:
    """A job on another engine that goes on until it is cancelled; the user presses Ctrl-C as soon as it is waited for.

    It stands for the pipeline and for its result.
    """

    runner = None

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def run(self, test_runner_api: bool) -> JobElsewhere:
        return self

    def wait_until_finish(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        self.cancelled.wait(60)

    def cancel(self) -> None:
        self.cancelled.set()


def test_ctrl_c_cancels_a_job_elsewhere() -> None:
    job: Any = JobElsewhere()
    with pytest.raises(KeyboardInterrupt):
        run_to_end(job)
    assert job.cancelled.is_set()
