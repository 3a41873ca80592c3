"""What cannot work on Dataflow, found from a command line alone, before anything is submitted.

A mistake that Dataflow finds is found minutes later, on machines that are paid for; with a bucket's name that cannot be
one, Beam waits forever. So everything is checked here that can be without an account, and without importing Beam.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from pipelines.running.request import BeamRequest, JobRequest
from transforms.base import files
from transforms.base.request import answers_of
from transforms.scoring.choices import is_address
from transforms.scoring.places import EMBEDDED

RUNNER = "DataflowRunner"
# https://cloud.google.com/storage/docs/buckets#naming; Beam asks again and again for one that cannot exist.
_BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/.*)?")
# https://cloud.google.com/dataflow/docs/gpu/use-gpus
_ACCELERATOR = re.compile(r"type:[a-z0-9-]+;count:[1-9][0-9]*(;[^;]+)*;install-nvidia-driver(:[^;]+)?(;[^;]+)*")
_ACCELERATOR_FORM = "type:nvidia-l4;count:1;install-nvidia-driver"
_SERVICE_ACCELERATOR = "worker_accelerator="
ONE_PROCESS = "no_use_multiple_sdk_containers"


@dataclass(frozen=True)
class DataflowOptions:
    """Those of Beam's options that decide whether a job can run there; each field is the option of its name."""

    project: str | None
    region: str | None
    temp_location: str | None
    staging_location: str | None
    sdk_container_image: str | None
    sdk_location: str | None
    number_of_worker_harness_threads: int | None
    experiments: Sequence[str] | None
    dataflow_service_options: Sequence[str] | None
    resource_hints: Sequence[str] | None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> DataflowOptions:
        """Those among all options by name."""
        return cls(**{each.name: options[each.name] for each in fields(cls)})

    def hints(self) -> dict[str, str]:
        """The resource hints; an accelerator in either of Beam's two ways."""
        hints = [
            f"accelerator={option.removeprefix(_SERVICE_ACCELERATOR)}"
            for option in self.dataflow_service_options or ()
            if is_accelerator(option)
        ]
        hints += self.resource_hints or ()
        return {name: value for name, _, value in (hint.partition("=") for hint in hints)}


def is_runner(chosen: str | None, name: str) -> bool:
    """Whether what is given as --runner is the runner of this name, as Beam reads it: in whatever case, and with or
    without "Runner" at its end."""
    return (chosen or "").lower().removesuffix("runner") == name.lower().removesuffix("runner")


def is_accelerator(service_option: str) -> bool:
    """Whether an option of the service asks for an accelerator."""
    return service_option.startswith(_SERVICE_ACCELERATOR)


def complaints(request: BeamRequest, options: DataflowOptions) -> Iterator[str]:
    """What cannot work on Dataflow, as a line; none where all can.

    Args:
        request: of the job.
        options: Beam's.
    """
    wrong = [*_service(options), *_workers(options)]
    if isinstance(request, JobRequest):
        wrong += answers_of(request, partial(_model, request, options), partial(_ends, request))
    if wrong:
        yield f"--runner {RUNNER}: {'; '.join(wrong)}"


def _service(options: DataflowOptions) -> Iterator[str]:
    """What is wrong with the options of the service."""
    places = {"temp_location": options.temp_location, "staging_location": options.staging_location}
    required = {
        "project": options.project,
        "region": options.region,
        "temp_location": options.temp_location,
        "sdk_container_image": options.sdk_container_image,
    }
    if missing := [f"--{name}" for name, value in required.items() if not value]:
        yield f"give {', '.join(missing)}"
    for name, value in places.items():
        if value and not _BUCKET.fullmatch(value):
            yield f"--{name} {value}: give gs:// and a bucket's name (3 characters or more, in lower case)"
    if options.sdk_location != "container":
        yield "give --sdk_location=container, so that workers run what is in the image"


def _workers(options: DataflowOptions) -> Iterator[str]:
    """What is wrong with how the workers are to run."""
    threads = options.number_of_worker_harness_threads
    if threads is None or threads < 1:
        yield "give --number_of_worker_harness_threads=2: as many shards are in a worker's memory at once"
    if ONE_PROCESS not in (options.experiments or ()):
        yield f"give --experiments={ONE_PROCESS}, or every processor of a worker loads a model of its own"
    if (accelerator := options.hints().get("accelerator")) is not None and not _ACCELERATOR.fullmatch(accelerator):
        yield f"accelerator {accelerator!r}: give one such as '{_ACCELERATOR_FORM}', in quotes"


def _model(request: JobRequest, options: DataflowOptions) -> Iterator[str]:
    """What is wrong with the model and where it is to run: machines that do not exist yet cannot be inspected."""
    name = request.scorer()
    accelerator = "accelerator" in options.hints()
    if name is None or is_address(name):
        if accelerator:
            yield "an accelerator, and no model that runs on it; leave it out"
        return
    if name not in EMBEDDED and os.path.isdir(name):
        yield f"--model {name} is on this machine's disk, which workers do not see; give a hub id"
    if left := [f"--{option}" for option in ("device", "dtype", "attention") if option not in request.run_options()]:
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
    yield from request.remote_complaints()
