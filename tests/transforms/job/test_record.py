from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.jobs import A, B, C, make_job, open_and_close
from transforms.base import files
from transforms.input.inputs import InputFile
from transforms.job.record import (
    Input,
    added_inputs,
    differences,
    in_job_order,
    new_job,
    read_job,
    record_versions,
    without_secrets,
)

# The record


def test_new_job_records_what_decides_the_parts() -> None:
    file = InputFile(0, "/in/a.parquet", 100, "aa", "nested", 5, 50)
    command = {"keep_columns": ("a",), "revision": None, "hf_token": "hf_secret"}
    job = new_job(
        [file], kind="reranking", model={"name": "m"}, options={"keep_columns": ("a",)}, execution={}, command=command
    )
    assert job.inputs == (A,)
    assert job.options == {"keep_columns": ["a"]}
    assert job.command == {"keep_columns": ["a"]}
    assert job.versions["python"].startswith("3.11.")
    assert {"apache-beam", "pyarrow", "torch", "transformers", "tokenizers"} < job.versions.keys()
    assert job.created.endswith("+00:00")


def test_the_fingerprint_is_of_all_that_decides_the_parts() -> None:
    def fingerprint(size: int = 100, **changes: Any) -> str:
        files = [InputFile(0, "/in/a.parquet", size, "aa", "nested", 5, 50)]
        described: dict[str, Any] = {
            "model": {"name": "m"},
            "options": {"top_k": 1},
            "execution": {"dtype": "float32"},
            "command": {},
        }
        return new_job(files, kind="reranking", **described | changes).fingerprint

    same = fingerprint(command={"runner": "DataflowRunner"})
    others = [
        fingerprint(101),
        fingerprint(model={"name": "n"}),
        fingerprint(options={"top_k": 2}),
        fingerprint(execution={"dtype": "bfloat16"}),
    ]
    assert same == fingerprint()
    assert len({same, *others}) == 5


def fingerprint_of_version(**version: int) -> str:
    files = [InputFile(0, "/in/a.parquet", 100, "aa", "nested", 5, 50)]
    options = {"top_k": 1, "keep_columns": ("a",)}
    return new_job(
        files,
        kind="reranking",
        model={"name": "m"},
        options=options,
        execution={"dtype": "float32"},
        command={},
        **version,
    ).fingerprint


def test_the_fingerprint_of_the_first_schema_version_is_what_it_was_before_versions() -> None:
    before = "64495a4907157c40817572f48574273c8145c70ea9c67d8e6fd2dadd9a8ddd11"
    assert fingerprint_of_version() == fingerprint_of_version(schema_version=1) == before
    assert len({before, fingerprint_of_version(schema_version=2), fingerprint_of_version(schema_version=3)}) == 3


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"batch_tokens": 8192, "special_tokens": "vendor"}, {"batch_tokens": 8192, "special_tokens": "vendor"}),
        ({"hf_token": "x", "api_key": "x", "s3_secret_access_key": "x", "azure_connection_string": "x"}, {}),
        ({"Endpoint-Password": "x", "credentials": "x"}, {}),
        ({"top_k": None, "extend": False}, {"extend": False}),
        ({"model": "https://me:pa@ss@host/v1"}, {"model": "https://host/v1"}),
        ({"input": ["https://me@host/a?x=b@c"]}, {"input": ["https://host/a?x=b@c"]}),
    ],
)
def test_secrets_are_left_out(options: dict[str, Any], expected: dict[str, Any]) -> None:
    assert without_secrets(options) == expected


def test_nothing_of_the_environment_is_recorded(output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANK_API_KEY", "sesame-4711")
    open_and_close(output, new_job([], kind="reranking", model={}, options={}, execution={}, command={"model": "m"}))
    assert "4711" not in files.read_text(files.join(output, "job.json"))


# Differences


def test_same_fingerprint_has_no_differences_whatever_ran_it() -> None:
    other = make_job(execution={"device": "cuda"}, versions={}, created="", command={"runner": "DataflowRunner"})
    assert differences(make_job(), other) == []
    assert differences(make_job(A, B), make_job(B, A)) == []


def test_differences_in_words() -> None:
    here = make_job(
        A,
        replace(B, size=201),
        C,
        model={"model": {"name": "owner/model", "revision": "r2"}, "settings": {"max_length": 1024, "overlap": 80}},
        options={"top_k": 10, "shard_pairs": 16384, "keep_columns": ["lang"]},
    )
    assert differences(make_job(), here) == [
        "model.revision: r1 there, r2 here",
        "settings.max_length: 512 there, 1024 here",
        "settings.overlap: not set there, 80 here",
        'keep_columns: [] there, ["lang"] here',
        "top_k: not set there, 10 here",
        "1 input file is new: /in/c.parquet",
        "input file /in/b.parquet has changed: 200 bytes there, 201 here",
    ]
    assert differences(make_job(A, B, C), make_job(replace(A, footer_hash="a2"))) == [
        "2 input files are not given here: /in/b.parquet, /in/c.parquet",
        "input file /in/a.parquet has changed: same size, another footer",
    ]


def test_many_files_are_not_all_listed() -> None:
    many = [Input(f"/in/{i}", 1, "") for i in range(7)]
    assert differences(make_job(A), make_job(A, *many)) == [
        "7 input files are new: /in/0, /in/1, /in/2, /in/3, /in/4, and 2 more"
    ]


def test_added_inputs() -> None:
    assert added_inputs(make_job(B), make_job(A, B, C)) == (A, C)


def test_in_job_order_gives_the_stored_indices() -> None:
    files = [InputFile(i, file.path, file.size, file.footer_hash, "flat", 5, 5) for i, file in enumerate([A, B, C])]
    ordered = in_job_order(make_job(B, C, A), files)
    assert [(file.index, file.path) for file in ordered] == [
        (0, "/in/b.parquet"),
        (1, "/in/c.parquet"),
        (2, "/in/a.parquet"),
    ]


def test_what_a_run_has_used_is_added_to_the_versions(tmp_path: Path) -> None:
    job, output = make_job(), str(tmp_path)
    record_versions(output, job, {"tokenising": []})
    assert read_job(output) is None, "nothing to add, nothing written"
    record_versions(output, job, {"tokenising": ["tiktoken 1"], "layers": []})
    used = read_job(output)
    assert used == replace(job, versions={**job.versions, "tokenising": "tiktoken 1"})
    record_versions(output, used, {"tokenising": ["tokenizers 2", "tiktoken 1"], "layers": ["liger-kernel 3"]})
    again = read_job(output)
    assert again is not None
    assert again.versions["tokenising"] == "tiktoken 1; tokenizers 2"
    assert again.versions["layers"] == "liger-kernel 3"
