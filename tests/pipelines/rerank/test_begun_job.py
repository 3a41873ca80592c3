"""A job that earlier code began is continued by the code of today."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.rerank import RerankRequest
from pipelines.rerank.job import specify_model
from tests.support.job_run import parts, report, rerank, scores
from transforms.job.record import Job, read_job
from transforms.scoring.reranker import Specification

BEGUN = Path(__file__).parents[2] / "data" / "begun_job"
# Where the candidates lay for the command that was killed.
PATH_THEN = "/data/begun_job/candidates.parquet"


def but_for_scores(part: bytes) -> tuple[Any, ...]:
    """All that a part file holds, and how, but for its scores."""
    parquet = pq.ParquetFile(pa.BufferReader(part))
    group = parquet.metadata.row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    how = [(chunk.path_in_schema, chunk.physical_type, chunk.compression, chunk.encodings) for chunk in chunks]
    rows = parquet.read().to_pylist()
    return parquet.num_row_groups, how, parquet.metadata.metadata, [{**row, "score": None} for row in rows]


def test_it_comes_to_the_bytes_of_a_job_that_was_never_interrupted(tmp_path: Path) -> None:
    """Both have the begun job's fingerprint, of which every part carries a copy; one has none of its parts yet."""
    source = Path(shutil.copy(BEGUN / "candidates.parquet", tmp_path))
    continued, whole = tmp_path / "continued", tmp_path / "whole"
    shutil.copytree(BEGUN / "out", continued)
    job = (BEGUN / "out" / "job.json").read_text(encoding="utf-8")
    assert job.count(PATH_THEN) == 1
    whole.mkdir()
    for output in (continued, whole):
        (output / "job.json").write_text(job.replace(PATH_THEN, str(source)), encoding="utf-8")
        assert rerank(source, output, "small-cross-encoder", "--shard_pairs", "3") == 0
    then, after, anew = parts(BEGUN / "out"), parts(continued), parts(whole)
    assert (len(then), len(after)) == (2, 4)
    assert {name: after[name] for name in then} == then
    assert {name: content for name, content in after.items() if name not in then} == {
        name: content for name, content in anew.items() if name not in then
    }
    assert after.keys() == anew.keys()
    # The parts of then were scored on one machine: on another one their scores may differ by rounding alone.
    assert {name: but_for_scores(anew[name]) for name in then} == {name: but_for_scores(then[name]) for name in then}
    assert scores(continued) == pytest.approx(scores(whole), abs=1e-5)
    assert report(continued)["last_run"]["shards"] == 2


def fills_heads(previous: Job | None) -> bool:
    """Whether the model's head is given rows that fill up a pass, where this job is continued."""
    specification = specify_model(RerankRequest(input=("in",), output="out", model="small-cross-encoder"), previous)
    assert isinstance(specification, Specification)
    return specification.execution.fills_heads


def test_its_head_is_given_the_rows_that_the_first_version_gave_it(tmp_path: Path) -> None:
    """A product of few rows is rounded in another way than one of many: up to 1.4e-6 in a score."""
    first = read_job(str(BEGUN / "out"))
    assert first is not None
    assert not fills_heads(first)
    assert fills_heads(replace(first, part_version=2))
    assert fills_heads(None)
    output = tmp_path / "out"
    assert rerank(Path(shutil.copy(BEGUN / "candidates.parquet", tmp_path)), output, "small-cross-encoder") == 0
    assert json.loads((output / "job.json").read_text(encoding="utf-8"))["execution"]["fills_heads"] is True
    later = read_job(str(output))
    assert later is not None
    assert fills_heads(later)
    assert not fills_heads(replace(later, execution={**later.execution, "fills_heads": False}))
