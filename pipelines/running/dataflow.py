"""Dataflow: the check of Beam's own options, and an accelerator for the scoring stage alone."""

from __future__ import annotations

import os

from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
)

from pipelines.running import dataflow_options
from pipelines.running.dataflow_options import RUNNER, DataflowOptions, is_accelerator, is_runner
from pipelines.running.request import JobRequest
from transforms.base.errors import UserError
from transforms.base.request import refuse
from transforms.scoring.choices import KEY_VARIABLE

# Memory of a worker: the weights of the largest models (4B parameters, 8 GB) pass through it, beside shards in hand.
MIN_RAM = "16GB"


def is_dataflow(options: PipelineOptions) -> bool:
    """Whether the options name Dataflow's runner."""
    return is_runner(options.view_as(StandardOptions).runner, RUNNER)


def check(request: JobRequest, options: PipelineOptions) -> None:
    """Refuse what cannot work on Dataflow; options for other runners pass.

    Args:
        request: of the job.
        options: Beam's.

    Raises:
        UserError: with all that is wrong, in one line.
    """
    if is_dataflow(options):
        refuse(dataflow_options.complaints(request, DataflowOptions.of(options.get_all_options())))
    if (key := os.environ.get(KEY_VARIABLE)) and key in str(options.get_all_options(drop_default=True)):
        raise UserError(f"the value of {KEY_VARIABLE} is in an option, which runners keep and show; leave it out there")


def take_scoring_hints(options: PipelineOptions) -> dict[str, str]:
    """Takes the resource hints, and the accelerator among them, out of Beam's options, where they hold for all workers.

    Returns:
        Them with what is left open filled in, for the scoring stage alone; none for other runners than Dataflow.
    """
    if not is_dataflow(options):
        return {}
    hints = DataflowOptions.of(options.get_all_options()).hints()
    if "accelerator" not in hints:
        return {}
    cloud, threads = options.view_as(GoogleCloudOptions), options.view_as(DebugOptions).number_of_worker_harness_threads
    options.view_as(StandardOptions).resource_hints = []
    # Dataflow takes an accelerator as an option of the service or as a hint of stages, and not both:
    # https://cloud.google.com/dataflow/docs/guides/right-fitting
    service = cloud.dataflow_service_options or []
    cloud.dataflow_service_options = [option for option in service if not is_accelerator(option)]
    return {"min_ram": MIN_RAM, "max_active_bundles_per_worker": str(threads)} | hints
