"""--dataset: folders for real, and a hub on loopback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.rerank.__main__ import main
from tests.support import tiny
from tests.support.job_run import RUNNER, parts, rows
from tests.support.stub_hub import COMMIT, Fault, Hub, serving
from transforms.base.errors import UserError
from transforms.input.conversion.data_set import convert_data_set
from transforms.input.data_sets import DataSetReference, parse_data_set
from transforms.input.names import ColumnNames

ROOT = Path(__file__).resolve().parents[3]
PAIRS = pa.table({"qid": ["007", "1"], "query": ["a", "b"], "pid": ["1", "02"], "body": ["a b", "c"]})
READ = [
    {"query_id": "007", "query": "a", "doc_id": "1", "text": "a b"},
    {"query_id": "1", "query": "b", "doc_id": "02", "text": "c"},
]
COLUMNS = {"text": "body"}
PROGRAM = """
import sys
import pyarrow.parquet as pq
from transforms.base.errors import UserError
from transforms.input.conversion.data_set import convert_data_set
from transforms.input.data_sets import parse_data_set
from transforms.input.names import ColumnNames

folder, *names = sys.argv[1:]
for name in names:
    try:
        path = convert_data_set(parse_data_set(name), folder, ColumnNames({"text": "body"}))
        print(pq.read_table(path).to_pylist(), pq.read_metadata(path).metadata[b"rerank.source"].decode())
    except UserError as error:
        print(type(error).__name__, error)
"""


def converted(folder: Path, name: str) -> list[dict[str, object]]:
    path = convert_data_set(parse_data_set(name), str(folder / "out"), ColumnNames(COLUMNS))
    return list(pq.read_table(path).to_pylist())


def parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def test_folders_of_every_kind(tmp_path: Path) -> None:
    for name in ("files", "lines", "csv", "saved", "splits", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "files" / "train.parquet").write_bytes(parquet(PAIRS))
    lines = "".join(json.dumps(row) + "\n" for row in PAIRS.to_pylist())
    for split in ("train", "test"):
        (tmp_path / "lines" / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    saved = datasets.Dataset(PAIRS)
    saved.save_to_disk(tmp_path / "saved")
    datasets.DatasetDict({"train": saved, "test": saved}).save_to_disk(tmp_path / "splits")
    for name in ("files", "lines,split=test", "saved", "splits,split=train"):
        assert converted(tmp_path, f"{tmp_path}/{name}") == READ
    (tmp_path / "csv" / "train.csv").write_text("qid,query,pid,body\n007,a,1,a b\n", encoding="utf-8")
    assert converted(tmp_path, f"{tmp_path}/csv") == [{"query_id": 7, "query": "a", "doc_id": 1, "text": "a b"}]
    for name, said in {
        "lines": f"has several splits, train, test; give one, {tmp_path}/lines,split=NAME",
        "lines,split=dev": f"has no split 'dev', but train, test; give one, {tmp_path}/lines,split=NAME",
        "gone": "no such folder; give one, or hf:OWNER/NAME for a data set on the hub",
        "empty": "cannot be read (",
        "csv/train.csv": "/csv/train.csv: is a file; give it to --input",
    }.items():
        with pytest.raises(UserError) as error:
            converted(tmp_path, f"{tmp_path}/{name}")
        assert said in str(error.value)
        assert "\n" not in str(error.value)


def test_a_job_reads_a_data_set_and_continues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "set", tmp_path / "out"
    source.mkdir()
    (source / "train.parquet").write_bytes(parquet(PAIRS))
    model = tiny.bert(tmp_path / "bert")
    words = ["--dataset", str(source), "--columns", "text=body", "--output", str(out), "--model", str(model)]
    words += ["--dtype", "float32", RUNNER]
    assert main(words) == 0
    assert f"read {source}, split train: 2 rows\n" in capsys.readouterr().err
    assert [(row["query_id"], row["doc_id"]) for row in rows(out)] == [("007", "1"), ("1", "02")]
    before = parts(out)
    next(out.glob("scored/*.parquet")).unlink()
    assert main(words) == 0
    assert parts(out) == before
    (source / "train.parquet").write_bytes(parquet(PAIRS.slice(1)))
    capsys.readouterr()
    assert main(words) == 2
    assert f"error: {source}: has changed since the job first read it" in capsys.readouterr().err
    assert main([*words, "--input", str(source)]) == 2
    assert "error: give either --input or --dataset\n" in capsys.readouterr().err


def test_the_hub(tmp_path: Path) -> None:
    files = {"train.parquet": parquet(PAIRS), "test.parquet": parquet(PAIRS.slice(0, 1))}
    hub = Hub({"own/pairs": files, "own/closed": {}}, [Fault("own/closed", 403, {"X-Error-Code": "GatedRepo"})])
    with serving(hub):
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "cache")}
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "out")]
        names = ["own/pairs,split=train", "own/pairs", "own/none", "own/closed"]
        done = subprocess.run(
            [*command, *(f"hf:{name}" for name in names)],
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=True,
        )
    read, several, none, closed = done.stdout.splitlines()
    assert read == f"{READ} hf:own/pairs@{COMMIT}, split train"
    assert several == (
        "UserError --dataset hf:own/pairs: has several splits, train, test; give one, hf:own/pairs,split=NAME"
    )
    assert none.startswith("UserError dataset own/none: neither a directory here nor on the hub, or private there;")
    assert closed.startswith("UserError dataset own/closed: the hub asks you to accept its terms first;")


def test_a_job_that_is_continued_does_not_ask_the_hub(tmp_path: Path) -> None:
    data = parse_data_set("hf:own/pairs")  # the hub is forbidden here, see conftest
    with pytest.raises(UserError, match=r"dataset own/pairs: not all of it is in the local cache, and HF_HUB_OFFLINE"):
        convert_data_set(data, str(tmp_path), ColumnNames())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transforms.base.hub.commit_of", lambda *_: COMMIT)
        patch.setattr("datasets.load_dataset", lambda *_, **__: datasets.DatasetDict(train=datasets.Dataset(PAIRS)))
        path = convert_data_set(data, str(tmp_path), ColumnNames(COLUMNS))
    assert convert_data_set(data, str(tmp_path), ColumnNames(COLUMNS), [path]) == path


def test_what_a_data_set_s_name_says() -> None:
    assert parse_data_set("hf:own/pairs,config=c,split=s,revision=r") == DataSetReference("hf:own/pairs", "c", "s", "r")
    for text, said in {
        "hf:own/pairs,name=c": "give hf:OWNER/NAME or a folder, and after commas config=, split= or revision=",
        "folder,split=": "give hf:OWNER/NAME or a folder, and after commas config=, split= or revision=",
        "folder,revision=r": "a folder has no revision; leave it out",
    }.items():
        with pytest.raises(UserError) as error:
            parse_data_set(text)
        assert str(error.value) == f"--dataset {text}: {said}"
