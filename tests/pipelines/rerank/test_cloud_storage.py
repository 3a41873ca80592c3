"""The job from bucket to bucket, on Google's and on Amazon's storage."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from apache_beam.internal.gcp import auth
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from botocore.loaders import JSONFileLoader

from pipelines.rerank.__main__ import main
from tests.support import tiny
from tests.support.google_cloud import google_cloud
from tests.support.job_run import RUNNER, rerank, rows, write_letters
from tests.support.s3_store import s3
from transforms.base import files
from transforms.base.errors import UserError
from transforms.input.inputs import inspect
from transforms.input.plan import plan
from transforms.input.reader import read_shards


class Bucket(NamedTuple):
    """A bucket, and how the job finds it."""

    bucket: str
    objects: dict[str, bytes]
    options: tuple[str, ...]


@pytest.fixture(params=["gs", "s3"])
def store(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bucket]:
    if request.param == "s3":
        # Beam begins a session for each operation, which reads the descriptions of all services anew.
        load = JSONFileLoader().load_file
        monkeypatch.setattr(JSONFileLoader, "load_file", staticmethod(functools.cache(load)))
        with s3() as server:
            options = (f"--s3_endpoint_url=http://127.0.0.1:{server.server_port}", "--s3_region_name=eu-west-1")
            keys = ("--s3_access_key_id=someone", "--s3_secret_access_key=some-secret")
            yield Bucket("s3://some-bucket", server.objects, options + keys)
        return
    monkeypatch.setattr(auth._Credentials, "_credentials_init", False)  # another test's are another server's
    monkeypatch.setattr(auth._Credentials, "_credentials", None)
    with google_cloud() as google:
        for name, value in google.environment(tmp_path_factory.mktemp("account")).items():
            monkeypatch.setenv(name, value)
        yield Bucket("gs://some-bucket", google.objects, ())


def parts(store: Bucket) -> dict[str, bytes]:
    return {name: content for name, content in store.objects.items() if "/part-" in name}


def test_from_bucket_to_bucket(store: Bucket, tmp_path: Path) -> None:
    model = tiny.bert(tmp_path / "model")
    source = write_letters(tmp_path / "in.parquet", queries=4, candidates=3)
    store.objects["some-bucket/in/a.parquet"] = source.read_bytes()
    command = [
        *("--input", f"{store.bucket}/in/*.parquet", "--output", f"{store.bucket}/out", "--model", str(model)),
        *("--dtype", "float32", RUNNER, *store.options),
    ]
    assert main(command) == 0
    assert rerank(source, tmp_path / "here", model) == 0
    made = parts(store)
    assert [row for name in sorted(made) for row in pq.read_table(io.BytesIO(made[name])).to_pylist()] == rows(
        tmp_path / "here"
    )
    assert {name for name in store.objects if name not in made} == {
        "some-bucket/in/a.parquet",
        *(f"some-bucket/out/{name}" for name in ("job.json", "report.json", "_SUCCESS", "_plan.parquet")),
    }, "no temporary and no lock is left"

    lost = sorted(made)[1]
    del store.objects[lost], store.objects["some-bucket/out/_SUCCESS"]
    assert main(command) == 0, "the same command continues"
    assert parts(store) == made
    assert b"some-secret" not in store.objects["some-bucket/out/job.json"]


def test_files_are_found_without_a_job_that_sets_beams_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileSystems, "_pipeline_options", None)
    with s3() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "some-name")
        server.objects["some-bucket/qrels.txt"] = b"q1 0 d1 1\n"
        assert files.read_text("s3://some-bucket/qrels.txt") == "q1 0 d1 1\n"


def test_an_input_file_that_has_gone(store: Bucket, tmp_path: Path) -> None:
    path = f"{store.bucket}/in/gone.parquet"
    store.objects["some-bucket/in/gone.parquet"] = write_letters(tmp_path / "in.parquet", 2, 2).read_bytes()
    FileSystems.set_options(PipelineOptions(list(store.options)))
    (unit,) = plan(inspect([path])).units
    del store.objects["some-bucket/in/gone.parquet"]
    with pytest.raises(UserError, match=f"^{path}: has gone since the job first inspected it; put it back, and the"):
        list(read_shards(unit))
