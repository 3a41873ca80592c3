"""Jobs for Dataflow: what is refused before it is submitted, and what is submitted, field by field."""

from __future__ import annotations

import base64
import bz2
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.internal.gcp import auth
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from pipelines.benchmark import __main__ as benchmark
from pipelines.benchmark import cell as benchmark_cell
from pipelines.benchmark.cell import Machine
from pipelines.benchmark.entrants import entrant
from pipelines.candidates import __main__ as candidates
from pipelines.candidates import do_job as do_candidates
from pipelines.candidates.request import CandidatesRequest
from pipelines.rerank import RerankRequest, do_job
from pipelines.rerank.__main__ import main
from pipelines.rerank.job import build
from pipelines.rerank.options import build_parser
from pipelines.running import dataflow
from pipelines.running.runner import run_to_end
from tests.support.google_cloud import PROJECT, REGION, GoogleCloud, google_cloud
from tests.support.job_run import letters, parts, rerank, write_letters
from transforms.base.errors import UserError
from transforms.base.request import request_of
from transforms.input.inputs import inspect
from transforms.input.plan import plan
from transforms.rerank import PlannedUnit, Reading, Rerank
from transforms.scoring.reranker import specify

ROOT = Path(__file__).resolve().parents[3]
LOCAL_MODEL = ROOT / "transforms" / "scoring" / "models" / "small-cross-encoder"
IMAGE = f"europe-west4-docker.pkg.dev/{PROJECT}/rerank/worker:1"
ACCELERATOR = "type:nvidia-l4;count:1;install-nvidia-driver"
SERVICE = {
    "--runner": "DataflowRunner",
    "--project": PROJECT,
    "--region": REGION,
    "--temp_location": "gs://some-bucket/temp",
    "--staging_location": "gs://some-bucket/staging",
    "--sdk_container_image": IMAGE,
    "--sdk_location": "container",
    "--number_of_worker_harness_threads": "2",
    "--experiments": "no_use_multiple_sdk_containers",
}
GPU = {"--device": "cuda", "--dtype": "bfloat16", "--attention": "flash_attn_2"}
CPU = {"--device": "cpu", "--dtype": "float32", "--attention": "sdpa"}
JOB = {"--input": "gs://some-bucket/in.parquet", "--output": "gs://some-bucket/out", "--model": "small-cross-encoder"}
HINT = {"--resource_hints": f"accelerator={ACCELERATOR}"}
COMPLETE = JOB | SERVICE | GPU | HINT


def command(options: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in options.items()]


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleCloud]:
    monkeypatch.setattr(auth._Credentials, "_credentials_init", False)  # another test's are another server's
    monkeypatch.setattr(auth._Credentials, "_credentials", None)
    with google_cloud() as server:
        for name, value in server.environment(tmp_path_factory.mktemp("account")).items():
            monkeypatch.setenv(name, value)
        yield server


def hints_by_step(pipeline: beam_runner_api_pb2.Pipeline) -> dict[str, dict[str, bytes]]:
    """The resource hints of each step that has code, without their URNs' ends."""
    return {
        step.unique_name: {
            urn.split(":")[2]: value
            for urn, value in pipeline.components.environments[step.environment_id].resource_hints.items()
        }
        for step in pipeline.components.transforms.values()
        if step.environment_id and not step.subtransforms
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"--project": ""}, "give --project"),
        ({"--region": "", "--sdk_container_image": ""}, "give --region, --sdk_container_image"),
        ({"--temp_location": ""}, "give --temp_location"),
        (
            {"--temp_location": "gs://ab/temp"},
            "--temp_location gs://ab/temp: give gs:// and a bucket's name (3 characters or more, in lower case)",
        ),
        (
            {"--staging_location": "/tmp/staging"},
            "--staging_location /tmp/staging: give gs:// and a bucket's name (3 characters or more, in lower case)",
        ),
        ({"--sdk_location": "default"}, "give --sdk_location=container, so that workers run what is in the image"),
        (
            {"--number_of_worker_harness_threads": "0"},
            "give --number_of_worker_harness_threads=2: as many shards are in a worker's memory at once",
        ),
        (
            {"--experiments": "use_runner_v2"},
            "give --experiments=no_use_multiple_sdk_containers, "
            "or every processor of a worker loads a model of its own",
        ),
        ({"--resource_hints": "fast=1"}, "--resource_hints: Unknown resource hint: fast."),
        (
            {"--resource_hints": "accelerator=nvidia-l4"},
            f"accelerator 'nvidia-l4': give one such as '{ACCELERATOR}', in quotes",
        ),
        (
            {"--resource_hints": "min_ram=8GB"},
            f"--device cuda: name the accelerator, --resource_hints='accelerator={ACCELERATOR}'",
        ),
        ({"--device": "auto", "--dtype": "auto"}, "give --device, --dtype: what workers have is not known here"),
        ({"--device": "cpu"}, "--device cpu beside an accelerator; leave one of them out"),
        (
            {"--model": str(LOCAL_MODEL)},
            f"--model {LOCAL_MODEL} is on this machine's disk, which workers do not see; give a hub id",
        ),
        (
            {"--model": "https://api.example/rerank"} | dict.fromkeys(("--device", "--dtype", "--attention"), ""),
            "an accelerator, and no model that runs on it; leave it out",
        ),
        (
            {"--input": "cands/*.parquet"},
            "--input cands/*.parquet is on this machine's disk, which workers do not see; give a gs:// path",
        ),
        ({"--output": "out"}, "--output out is on this machine's disk, which workers do not see; give a gs:// path"),
        ({"--output": "gs://AB/out"}, "--output gs://AB/out: no bucket has such a name"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    change: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = COMPLETE | change
    assert main(command({name: value for name, value in options.items() if value})) == 2
    if change.get("--resource_hints") == "fast=1":
        assert message in capsys.readouterr().err
    else:
        assert capsys.readouterr().err.splitlines() == [f"error: --runner DataflowRunner: {message}"]


def test_all_mistakes_are_reported_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--input", "in", "--output", "out", "--model", "small-cross-encoder", "--runner=dataflow"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --runner DataflowRunner: give --project, --region, --temp_location, --sdk_container")
    assert line.count("; ") >= 6


def test_data_sets_of_the_hub_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    options = {"--dataset": "beir/scifact", "--retriever": "bm25", "--output": "gs://some-bucket/out"} | SERVICE
    assert candidates.main(command(options)) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: --runner DataflowRunner: --dataset: its files come to this machine's disk, which workers do not see; "
        "give --corpus and --queries"
    ]


def test_a_path_of_this_machine_is_refused_as_such_whether_or_not_it_is_there() -> None:
    request = CandidatesRequest(
        corpus=("no",), queries=("gs://bucket/q",), retriever=("bm25", ""), output="gs://bucket/o"
    )
    with pytest.raises(
        UserError, match=r"; --corpus no is on this machine's disk, which workers do not see; give a gs:"
    ):
        do_candidates(request, ["--runner=DataflowRunner"])


@pytest.mark.parametrize(
    ("job", "request_"),
    [
        (do_job, RerankRequest(input=("in",), output="out", model="small-cross-encoder")),
        (do_candidates, CandidatesRequest(dataset="beir/scifact", retriever=("bm25", ""), output="out")),
    ],
)
def test_a_benchmarks_jobs_are_checked_too(job: Callable[[Any, list[str]], int], request_: Any) -> None:
    with pytest.raises(UserError, match=r"^--runner DataflowRunner: give --project, --region, --temp_location"):
        job(request_, ["--runner=DataflowRunner"])


def test_a_benchmarks_models_may_run_on_gpus_that_are_not_here() -> None:
    requested = {"max_length": 128}
    model = entrant("small-cross-encoder")
    benchmark_cell.check_options([model], requested, Machine("cuda", "bfloat16", "flash_attn_2", remote=True))
    with pytest.raises(UserError, match="--device cuda of other machines: give --dtype and --attention too"):
        benchmark_cell.check_options([model], requested, Machine("cuda", "bfloat16", "auto", remote=True))


def test_a_benchmark_knows_that_its_runner_is_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    demo = ROOT / "demo" / "dbpedia_entity_40x50"
    words = ["--models", "small-cross-encoder", "--datasets", f"x={demo}.parquet,{demo}.qrels"]
    runner = ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--device=cuda"]
    assert benchmark.main([*words, "--output", str(tmp_path), *runner]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: --device cuda of other machines: give --dtype and --attention too, as fit them"
    )


@pytest.mark.parametrize("runner", ["DirectRunner", "DataflowRunner"])
def test_the_endpoints_key_is_refused_in_options(
    runner: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RERANK_API_KEY", "sk-very-secret-0123456789")
    options = COMPLETE | {"--runner": runner, "--labels": "key=sk-very-secret-0123456789"}
    assert main(command(options)) == 2
    assert capsys.readouterr().err == (
        "error: the value of RERANK_API_KEY is in an option, which runners keep and show; leave it out there\n"
    )


def test_a_complete_command_passes() -> None:
    ours, rest = build_parser().parse_known_args(command(COMPLETE))
    dataflow.check(request_of(RerankRequest, ours), PipelineOptions(rest))


@pytest.mark.parametrize(
    ("options", "hints", "left_over"),
    [
        (HINT, {"accelerator": ACCELERATOR, "min_ram": "16GB", "max_active_bundles_per_worker": "2"}, None),
        (
            {"--dataflow_service_options": f"worker_accelerator={ACCELERATOR},enable_prime"},
            {"accelerator": ACCELERATOR, "min_ram": "16GB", "max_active_bundles_per_worker": "2"},
            ["enable_prime"],
        ),
        ({"--resource_hints": "min_ram=64GB"}, {}, None),
    ],
)
def test_hints_are_taken_out_of_the_options(
    options: dict[str, str], hints: dict[str, str], left_over: list[str] | None
) -> None:
    beam_options = PipelineOptions(command(SERVICE | options))
    assert dataflow.take_scoring_hints(beam_options) == hints
    values = beam_options.get_all_options()
    assert values["resource_hints"] == ([] if hints else ["min_ram=64GB"])
    assert (values["dataflow_service_options"] or None) == left_over
    assert dataflow.take_scoring_hints(PipelineOptions(command(options))) == {}, "another runner"


@pytest.fixture
def graph(tmp_path: Path) -> tuple[list[PlannedUnit], Rerank]:
    """The graph of a job on a GPU, over an input of two row groups."""
    units = plan(inspect([str(write_letters(tmp_path / "in.parquet", 4, 3))])).units
    specification = specify("small-cross-encoder", device="cuda", dtype="bfloat16", attention="sdpa", remote=True)
    beam_options = PipelineOptions(command(SERVICE | HINT | {"--resource_hints": f"accelerator={ACCELERATOR}"}))
    hints = dataflow.take_scoring_hints(beam_options)
    rerank_transform = Rerank("gs://some-bucket/out", specification, Reading(), resource_hints=hints)
    return [PlannedUnit(unit, frozenset()) for unit in units], rerank_transform


EXPECTED_HINTS = {
    "accelerator": ACCELERATOR.encode(),
    "min_ram_bytes": b"16000000000",
    "max_active_bundles_per_worker": b"2",
}


def test_graph_by_a_dry_run(graph: tuple[list[PlannedUnit], Rerank]) -> None:
    beam_options = PipelineOptions([*command(SERVICE), "--no_auth", "--dry_run=True"])
    runner = DataflowRunner()
    pipeline = beam.Pipeline(runner=runner, options=beam_options)
    build(pipeline, *graph)
    run_to_end(pipeline)
    hinted = {step: hints for step, hints in hints_by_step(runner.proto_pipeline).items() if hints}
    assert set(hinted) == {
        "Rerank/ReadShards",
        "Rerank/Score/BeamML_RunInference",
        "Rerank/CommitShard",
    }
    assert all(hints == EXPECTED_HINTS for hints in hinted.values())
    assert {
        beam_runner_api_pb2.DockerPayload.FromString(environment.payload).container_image
        for environment in runner.proto_pipeline.components.environments.values()
    } == {IMAGE}


def test_template(graph: tuple[list[PlannedUnit], Rerank], cloud: GoogleCloud, tmp_path: Path) -> None:
    template = tmp_path / "template.json"
    beam_options = PipelineOptions([*command(SERVICE), f"--template_location={template}"])
    pipeline = beam.Pipeline(runner=DataflowRunner(), options=beam_options)
    build(pipeline, *graph)
    run_to_end(pipeline)
    job = json.loads(template.read_text(encoding="utf-8"))
    assert hints_by_step(staged_pipeline(cloud, job))["Rerank/ReadShards"] == EXPECTED_HINTS
    assert job["environment"]["workerPools"][0]["numThreadsPerWorker"] == 2
    assert cloud.jobs == []


def submit(cloud: GoogleCloud, options: dict[str, str]) -> int:
    return main(command(JOB | SERVICE | options | {"--dataflow_endpoint": cloud.address}))


def put_input(cloud: GoogleCloud, tmp_path: Path) -> Path:
    source = write_letters(tmp_path / "in.parquet", queries=4, candidates=3)
    cloud.objects["some-bucket/in.parquet"] = source.read_bytes()
    return source


def staged_pipeline(cloud: GoogleCloud, job: dict[str, Any]) -> beam_runner_api_pb2.Pipeline:
    url = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
    pipeline = beam_runner_api_pb2.Pipeline()
    pipeline.ParseFromString(cloud.objects[url.removeprefix("gs://")])
    return pipeline


def unpacked(handed_in: bytes) -> Iterator[bytes]:
    """What Beam has pickled and packed: bz2, or zlib, in base64."""
    for word in re.findall(rb"(?:QlpoO|eN)[A-Za-z0-9+/]{20,}={0,2}", handed_in):
        with suppress(OSError, ValueError, zlib.error, EOFError):  # not that, but letters that begin so
            packed = base64.b64decode(word[: len(word) // 4 * 4])
            yield bz2.decompress(packed) if packed.startswith(b"BZh") else zlib.decompress(packed)


def test_submitted_job_field_by_field(cloud: GoogleCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_input(cloud, tmp_path)
    cloud.do_job = lambda job: "JOB_STATE_FAILED"  # there is no GPU to do it on
    more = {"--machine_type": "g2-standard-8", "--disk_size_gb": "100", "--max_num_workers": "20"}
    assert submit(cloud, GPU | HINT | more) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: the job failed, see above; what is done is kept, the same command continues"
    )
    [job] = cloud.jobs
    assert job["type"] == 1  # JOB_TYPE_BATCH
    environment = job["environment"]
    assert "use_runner_v2" in environment["experiments"]
    assert "no_use_multiple_sdk_containers" in environment["experiments"]
    assert "use_multiple_sdk_containers" not in environment["experiments"]
    assert "serviceOptions" not in environment
    assert environment["tempStoragePrefix"].startswith("storage.googleapis.com/some-bucket/temp/")
    [pool] = environment["workerPools"]
    assert pool["machineType"] == "g2-standard-8"
    assert pool["diskSizeGb"] == 100
    assert pool["autoscalingSettings"]["maxNumWorkers"] == 20
    assert pool["numThreadsPerWorker"] == 2
    images = [image["containerImage"] for image in pool["sdkHarnessContainerImages"]]
    assert images == [IMAGE, IMAGE], "one environment with a GPU, one without"
    values = environment["sdkPipelineOptions"]["options"]
    assert values["sdk_container_image"] == IMAGE
    assert values["sdk_location"] == "container"
    assert values["project"] == PROJECT
    assert values["region"] == REGION
    assert values["number_of_worker_harness_threads"] == 2
    assert values["resource_hints"] == []

    pipeline = staged_pipeline(cloud, job)
    hints = hints_by_step(pipeline)
    assert hints["Rerank/Score/BeamML_RunInference"] == EXPECTED_HINTS
    assert hints["Rerank/ReadShards"] == hints["Rerank/CommitShard"] == EXPECTED_HINTS, "one stage, not three"
    assert [step for step in hints if not step.startswith("Rerank/") and hints[step]] == []
    # The plan travels: names of files and row groups. Nothing that is in them does.
    texts = [row["query"] for row in letters(4, 3).to_pylist()]
    texts += [candidate["text"] for row in letters(4, 3).to_pylist() for candidate in row["candidates"]]
    handed_in = json.dumps(job).encode() + pipeline.SerializeToString()
    decoded = handed_in + b"".join(unpacked(handed_in))
    assert b"gs://some-bucket/in.parquet" in decoded
    assert len(texts) == 16
    assert [text for text in texts if len(text) > 3 and text.encode() in decoded] == []


def test_a_submitted_job_is_done_from_bucket_to_bucket(
    cloud: GoogleCloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def do_job(job: dict[str, Any]) -> str:
        """What Dataflow would do, in this process."""
        pipeline = staged_pipeline(cloud, job)
        for environment in pipeline.components.environments.values():
            environment.urn, environment.payload = "beam:env:embedded_python:v1", b""
            del environment.dependencies[:]
        FnApiRunner().run_via_runner_api(pipeline, PipelineOptions()).wait_until_finish()
        return "JOB_STATE_DONE"

    source = put_input(cloud, tmp_path)
    cloud.do_job = do_job
    assert submit(cloud, CPU) == 0
    assert "scored    12 of 12 pairs of 4 queries" in capsys.readouterr().out
    made = {
        name.removeprefix("some-bucket/out/"): content for name, content in cloud.objects.items() if "/part-" in name
    }
    assert "some-bucket/out/_SUCCESS" in cloud.objects
    assert [name for name in cloud.objects if name.endswith(".tmp") or "_lock" in name] == []
    assert rerank(source, tmp_path / "here", "small-cross-encoder", "--attention", "sdpa") == 0
    assert set(made) == set(parts(tmp_path / "here"))
    assert len(cloud.jobs) == 1

    assert submit(cloud, CPU) == 0, "nothing is left to do"
    assert len(cloud.jobs) == 1
