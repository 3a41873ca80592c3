from __future__ import annotations

from dataclasses import replace

import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

from pipelines.rerank.job import use_all_gpus
from transforms.scoring.reranker import Specification, specify


@pytest.mark.parametrize(
    ("device", "gpus", "flags", "expected"),
    [
        ("cuda", 4, [], ("multi_processing", 4)),
        ("cuda", 1, [], ("in_memory", 1)),
        ("cuda:2", 4, [], ("in_memory", 1)),
        ("cpu", 4, [], ("in_memory", 1)),
        ("cuda", 4, ["--direct_running_mode=multi_processing", "--direct_num_workers=2"], ("multi_processing", 2)),
    ],
)
def test_a_worker_for_each_gpu(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, flags: list[str], expected: tuple[str, int]
) -> None:
    specification = specify("small-cross-encoder")
    assert isinstance(specification, Specification)
    specification = replace(specification, execution=replace(specification.execution, device=device))
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    options = PipelineOptions(flags)
    use_all_gpus(specification, options)
    direct = options.view_as(DirectOptions)
    assert (direct.direct_running_mode, direct.direct_num_workers) == expected
