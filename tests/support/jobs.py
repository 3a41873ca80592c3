"""A job of two files, for tests of what job.json says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from transforms.job.record import Input, Job, open_job
from transforms.layout import PARQUET, part_name

A, B, C = Input("/in/a.parquet", 100, "aa"), Input("/in/b.parquet", 200, "bb"), Input("/in/c.parquet", 300, "cc")
PART = part_name(0, 0, 0) + PARQUET


def make_job(*inputs: Input, **changes: Any) -> Job:
    job = Job(
        fingerprint="f1",
        inputs=inputs or (A, B),
        model={"model": {"name": "owner/model", "revision": "r1"}, "settings": {"max_length": 512}},
        options={"top_k": None, "shard_pairs": 16384, "keep_columns": []},
        execution={"device": "cpu", "dtype": "float32", "threads": 2, "batch_tokens": 8192},
        versions={"python": "3.11.9"},
        created="2025-01-02T03:04:05+00:00",
        command={"runner": "DirectRunner"},
        kind="reranking",
    )
    return replace(job, **changes)


def open_and_close(output: str, job: Job, **options: Any) -> Job:
    with open_job(output, job, **options) as opened:
        return opened
