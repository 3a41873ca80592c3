"""What Dataflow needs: options checked before anything is submitted, and an accelerator for the scoring stage alone.

A mistake that Dataflow finds is found minutes later, on machines that are paid for; with a bucket's name that cannot be
one, Beam waits forever. So everything is checked here that can be without an account.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.transforms.resources import parse_resource_hints

from pipelines.running.options import is_given
from pipelines.running.request import JobRequest
from transforms.base import files
from transforms.base.errors import UserError, one_line
from transforms.scoring.choices import KEY_VARIABLE, is_address
from transforms.scoring.places import EMBEDDED

RUNNER = "DataflowRunner"
# https://cloud.google.com/storage/docs/buckets#naming; Beam asks again and again for one that cannot exist.
_BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/.*)?")
# https://cloud.google.com/dataflow/docs/gpu/use-gpus
_ACCELERATOR = re.compile(r"type:[a-z0-9-]+;count:[1-9][0-9]*(;[^;]+)*;install-nvidia-driver(:[^;]+)?(;[^;]+)*")
_ACCELERATOR_FORM = "type:nvidia-l4;count:1;install-nvidia-driver"
_SERVICE_ACCELERATOR = "worker_accelerator="
# Memory of a worker: the weights of the largest models (4B parameters, 8 GB) pass through it, beside shards in hand.
MIN_RAM = "16GB"
ONE_PROCESS = "no_use_multiple_sdk_containers"


def is_dataflow(options: PipelineOptions) -> bool:
    return (options.view_as(StandardOptions).runner or "").lower().removesuffix("runner") == "dataflow"


def check(request: JobRequest, options: PipelineOptions) -> None:
    """Refuse what cannot work on Dataflow; options for other runners pass.

    Args:
        request: of the job.
        options: Beam's.

    Raises:
        UserError: with all that is wrong, in one line.
    """
    if is_dataflow(options) and (
        wrong := [*_service(options), *_workers(options), *_model(request, options), *_ends(request)]
    ):
        raise UserError(f"--runner {RUNNER}: {'; '.join(wrong)}")
    if (key := os.environ.get(KEY_VARIABLE)) and key in str(options.get_all_options(drop_default=True)):
        raise UserError(f"the value of {KEY_VARIABLE} is in an option, which runners keep and show; leave it out there")


def take_scoring_hints(options: PipelineOptions) -> dict[str, str]:
    """Takes the resource hints, and the accelerator among them, out of Beam's options, where they hold for all workers.

    Returns:
        Them with what is left open filled in, for the scoring stage alone; none for other runners than Dataflow.
    """
    if not is_dataflow(options):
        return {}
    hints = _hints(options)
    if "accelerator" not in hints:
        return {}
    cloud, threads = options.view_as(GoogleCloudOptions), options.view_as(DebugOptions).number_of_worker_harness_threads
    options.view_as(StandardOptions).resource_hints = []
    # Dataflow takes an accelerator as an option of the service or as a hint of stages, and not both:
    # https://cloud.google.com/dataflow/docs/guides/right-fitting
    service = cloud.dataflow_service_options or []
    cloud.dataflow_service_options = [option for option in service if not _is_accelerator(option)]
    return {"min_ram": MIN_RAM, "max_active_bundles_per_worker": str(threads)} | hints


def _hints(options: PipelineOptions) -> dict[str, str]:
    """The resource hints that the options name; an accelerator in either of Beam's two ways."""
    service = options.view_as(GoogleCloudOptions).dataflow_service_options or []
    hints = [
        f"accelerator={option.removeprefix(_SERVICE_ACCELERATOR)}" for option in service if _is_accelerator(option)
    ]
    hints += options.view_as(StandardOptions).resource_hints or []
    return {name: value for name, _, value in (hint.partition("=") for hint in hints)}


def _is_accelerator(service_option: str) -> bool:
    return service_option.startswith(_SERVICE_ACCELERATOR)


def _service(options: PipelineOptions) -> Iterator[str]:
    """What is wrong with the options of the service."""
    cloud, setup = options.view_as(GoogleCloudOptions), options.view_as(SetupOptions)
    required: Mapping[str, str | None] = {
        "project": cloud.project,
        "region": cloud.region,
        "temp_location": cloud.temp_location,
        "sdk_container_image": options.view_as(WorkerOptions).sdk_container_image,
    }
    if missing := [f"--{name}" for name, value in required.items() if not value]:
        yield f"give {', '.join(missing)}"
    for name in ("temp_location", "staging_location"):
        value = getattr(cloud, name)
        if value and not _BUCKET.fullmatch(value):
            yield f"--{name} {value}: give gs:// and a bucket's name (3 characters or more, in lower case)"
    if setup.sdk_location != "container":
        yield "give --sdk_location=container, so that workers run what is in the image"


def _workers(options: PipelineOptions) -> Iterator[str]:
    """What is wrong with how the workers are to run."""
    debug = options.view_as(DebugOptions)
    threads = debug.number_of_worker_harness_threads
    if threads is None or threads < 1:
        yield "give --number_of_worker_harness_threads=2: as many shards are in a worker's memory at once"
    if ONE_PROCESS not in (debug.experiments or []):
        yield f"give --experiments={ONE_PROCESS}, or every processor of a worker loads a model of its own"
    hints = _hints(options)
    try:
        parse_resource_hints(hints)
    except (ValueError, TypeError) as error:
        yield f"--resource_hints: {one_line(error)}"
    if (accelerator := hints.get("accelerator")) is not None and not _ACCELERATOR.fullmatch(accelerator):
        yield f"accelerator {accelerator!r}: give one such as '{_ACCELERATOR_FORM}', in quotes"


def _model(request: JobRequest, options: PipelineOptions) -> Iterator[str]:
    """What is wrong with the model and where it is to run: machines that do not exist yet cannot be inspected."""
    name = request.scorer()
    accelerator = "accelerator" in _hints(options)
    if name is None or is_address(name):
        if accelerator:
            yield "an accelerator, and no model that runs on it; leave it out"
        return
    if name not in EMBEDDED and os.path.isdir(name):
        yield f"--model {name} is on this machine's disk, which workers do not see; give a hub id"
    if left := [f"--{option}" for option in ("device", "dtype", "attention") if not is_given(request, option)]:
        yield f"give {', '.join(left)}: what workers have is not known here"
    elif request.device.startswith("cuda") and not accelerator:
        yield f"--device {request.device}: name the accelerator, --resource_hints='accelerator={_ACCELERATOR_FORM}'"
    elif request.device == "cpu" and accelerator:
        yield "--device cpu beside an accelerator; leave one of them out"


def _ends(request: JobRequest) -> Iterator[str]:
    """What is wrong with where the input is and the output goes."""
    for option, path in request.paths():
        if files.is_local(path):
            yield f"{option} {path} is on this machine's disk, which workers do not see; give a gs:// path"
        elif path.startswith("gs://") and not _BUCKET.fullmatch(path):
            yield f"{option} {path}: no bucket has such a name"
    yield from request.complaints_elsewhere()
