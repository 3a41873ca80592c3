"""What goes wrong on a real machine: reported in one line, survived, and nothing lost.

See also test_interrupt (signals), test_errors (damaged files), test_endpoint (hosted APIs) and
tests/scoring/packed/test_run_batches (memory).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.rerank.__main__ import main
from tests.support import tiny
from tests.support.full_disk import full_disk
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import RUNNER, parts, reasons, report, rerank, rows, scores, write_letters
from tests.support.stub_endpoint import Exchange, RerankServer, answer, status
from tests.support.stub_hub import Fault, Hub, serving
from transforms.scoring.families.cross_encoder import CrossEncoder
from transforms.scoring.packed.packing import Packed


def error_lines(errors: str) -> list[str]:
    """Lines on stderr, less those of progress."""
    return [line for line in errors.splitlines() if line.strip() and "pair/s" not in line]


def everything(output: Path) -> set[str]:
    return {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}


# Files


def with_blobs(path: Path, sizes: list[int]) -> Path:
    """A row group for each size: a query with one document and a column to keep that has so many bytes."""
    chance = random.Random(0)
    lists = [
        query(f"q{i}", [candidate("d", "a b", blob=chance.randbytes(size // 2).hex())]) for i, size in enumerate(sizes)
    ]
    return Path(write(path, nested_table(lists, blob=pa.string()), row_group_size=1))


def test_a_full_disk(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The kernel takes no file beyond 4 MiB: the second of three parts, which has 8 MB, cannot be written."""
    source = with_blobs(tmp_path / "in.parquet", [100, 16_000_000, 100])
    options = ("--keep_columns", "blob", "--dtype", "float32", RUNNER)
    words = ["--input", str(source), "--output", str(tmp_path / "out"), "--model", str(model), *options]
    with full_disk(4 << 20):
        exit_code = main(words)
    assert error_lines(capsys.readouterr().err) == [
        f"error: {tmp_path}/out/scored/part-00000-00001-00000.parquet cannot be written: [Errno 27] File too large; "
        "what is done is kept, the same command continues"
    ]
    assert exit_code == 1
    first = "scored/part-00000-00000-00000.parquet"
    assert everything(tmp_path / "out") == {"job.json", "_plan.parquet", first}

    done = parts(tmp_path / "out")
    assert main(words) == 0
    assert rerank(source, tmp_path / "undisturbed", model, *options) == 0
    assert parts(tmp_path / "out") == parts(tmp_path / "undisturbed")
    assert done.items() <= parts(tmp_path / "out").items()


def test_a_read_only_output(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # In /tmp itself, since tmp_path is closed to the user that root becomes here, whom no permission stops.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        copied = Path(shutil.copytree(model, Path(folder, "model")))
        source = write_letters(Path(folder, "in.parquet"), queries=1, candidates=2)
        output = Path(folder, "out")
        assert rerank(source, output, copied) == 0  # which also imports what that user may not read
        shutil.rmtree(output)
        output.mkdir()
        capsys.readouterr()
        for path in (Path(folder), source, copied, *copied.iterdir()):
            path.chmod(0o755)
        output.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # nobody
        try:
            exit_code = rerank(source, output, copied)
        finally:
            os.seteuid(user)
        assert exit_code == 2
        assert error_lines(capsys.readouterr().err) == [
            f"error: output {output} cannot be written to: [Errno 13] Permission denied: '{output}/_lock'; "
            "give another --output"
        ]
        output.chmod(0o755)
        assert everything(output) == set()


def vanish(path: Path) -> None:
    path.unlink()


def change(path: Path) -> None:
    """Put another file of the same length in its place."""
    size = path.stat().st_size
    numbered(path, first_document=1)
    assert path.stat().st_size == size


def numbered(path: Path, first_document: int = 0) -> Path:
    """Three row groups for the endpoint, whose documents are their own scores."""
    lists = [query(f"q{i}", [candidate(str(first_document + j), f"0.{i}{j}") for j in range(3)]) for i in range(3)]
    return Path(write(path, nested_table(lists), row_group_size=1))


@pytest.mark.parametrize(
    ("disturb", "said"),
    [
        (vanish, "has gone since the job first inspected it; put it back, and the same command continues"),
        (change, "has changed since the job first inspected it; give it a new --output, or --overwrite"),
    ],
)
def test_an_input_file_that_goes_or_changes_while_the_job_runs(
    disturb: Callable[[Path], None], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = numbered(tmp_path / "in.parquet")
    original = source.read_bytes()

    def disturbing(exchange: Exchange) -> None:
        disturb(source)
        answer(exchange)

    with RerankServer() as server:
        words = ["--input", str(source), "--model", server.address, RUNNER]
        assert main([*words, "--output", str(tmp_path / "undisturbed")]) == 0
        capsys.readouterr()
        server.script = [disturbing]
        assert main([*words, "--output", str(tmp_path / "out")]) == 2
        assert error_lines(capsys.readouterr().err) == [f"error: {source}: {said}"]
        before = parts(tmp_path / "out")
        # The shard after it may have been read before.
        names = [f"scored/part-00000-0000{number}-00000.parquet" for number in (0, 1)]
        assert list(before) in (names[:1], names)

        source.write_bytes(original)
        assert main([*words, "--output", str(tmp_path / "out")]) == 0
    assert parts(tmp_path / "out") == parts(tmp_path / "undisturbed")
    assert before.items() <= parts(tmp_path / "out").items()


def test_a_part_of_another_job_among_the_parts(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_letters(tmp_path / "in.parquet", queries=4, candidates=3)
    out, other = tmp_path / "out", tmp_path / "other"
    assert rerank(source, out, model) == 0
    assert rerank(source, other, model, "--activation", "sigmoid") == 0
    before = parts(out)
    name = "scored/part-00000-00001-00000.parquet"
    shutil.copy(other / name, out / name)
    capsys.readouterr()
    for options in ((), ("--retry_rejected", "null_text")):
        assert rerank(source, out, model, *options) == 2
        assert error_lines(capsys.readouterr().err) == [
            f"error: {out / name} was not written by this job: move it out of the directory of scored parts"
        ]
    assert (out / name).read_bytes() == parts(other)[name], "it may be somebody's"
    (out / name).unlink()
    assert rerank(source, out, model) == 0
    assert parts(out) == before


def test_a_mistake_that_is_found_late_leaves_the_output_free(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The endpoint refuses the key when the first shard is scored."""
    source = write_letters(tmp_path / "in.parquet", queries=1, candidates=2)
    with RerankServer(habit=status(401)) as server:
        words = ["--input", str(source), "--output", str(tmp_path / "out"), "--model", server.address, RUNNER]
        assert main(words) == 2
    (line,) = error_lines(capsys.readouterr().err)
    assert line.startswith(f"error: endpoint {server.address}")
    assert everything(tmp_path / "out") == set()
    assert rerank(source, tmp_path / "out", model) == 0


# The model


def no_memory_beyond(tokens: int) -> Callable[[CrossEncoder, Packed], torch.Tensor]:
    """The model on a machine that has memory for so many tokens at once: beyond, torch's own allocator fails."""
    forward = CrossEncoder.forward

    def limited(self: CrossEncoder, packed: Packed) -> torch.Tensor:
        if len(packed.ids) - packed.padding > tokens:
            torch.empty(1 << 60, dtype=torch.uint8)
        return forward(self, packed)

    return limited


def test_a_batch_without_memory(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [candidate(str(i), " ".join("abcdefgh"[: 1 + i % 8])) for i in range(40)]
    long = candidate("long", "a b c d e f g h i j k l")  # 16 tokens with the query and the special ones
    source = Path(write(tmp_path / "in.parquet", nested_table([query("q", [*documents, long], "z")])))
    assert rerank(source, tmp_path / "undisturbed", model) == 0
    expected = scores(tmp_path / "undisturbed")
    assert expected.pop(("q", "long"))

    monkeypatch.setattr(CrossEncoder, "forward", no_memory_beyond(14))
    assert rerank(source, tmp_path / "out", model) == 0
    assert scores(tmp_path / "out") == pytest.approx(expected, abs=1e-5)
    assert reasons(tmp_path / "out") == [("q", "long", None, "out_of_memory")]
    assert report(tmp_path / "out")["out_of_memory_splits"] > 1

    monkeypatch.undo()
    before = {row["doc_id"]: row["score"] for row in rows(tmp_path / "out")}
    assert rerank(source, tmp_path / "out", model, "--retry_rejected", "out_of_memory") == 0
    after = {row["doc_id"]: row["score"] for row in rows(tmp_path / "out")}
    assert {name: after[name] for name in before} == before, "what was scored is taken over"
    assert scores(tmp_path / "out") == pytest.approx(scores(tmp_path / "undisturbed"), abs=1e-5)
    written = rows(tmp_path / "out")
    assert [row["rank"] for row in written] == list(range(1, 42))
    assert [row["score"] for row in written] == sorted((row["score"] for row in written), reverse=True)
    assert reasons(tmp_path / "out") == []
    assert report(tmp_path / "out")["tokens"]["total"] == report(tmp_path / "undisturbed")["tokens"]["total"]


def with_nan(folder: Path) -> Path:
    """The tiny model with a row of NaN for the letter z."""
    weights = load_file(tiny.bert(folder) / "model.safetensors")
    weights["bert.embeddings.word_embeddings.weight"][29] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def without_unknown(folder: Path) -> Path:
    """The tiny model, whose tokenizer fails on what is no letter, and on z."""
    tokenizer = tiny.read(tiny.bert(folder) / "tokenizer.json")
    tokenizer["model"]["unk_token"] = "?"
    del tokenizer["model"]["vocab"]["z"]
    tiny.write(folder / "tokenizer.json", tokenizer)
    return folder


@pytest.mark.parametrize(
    ("broken", "reason", "detail"),
    [
        (with_nan, "nan_score", "the model's score is nan"),
        (without_unknown, "tokenizer_error", "Exception: WordLevel error: Missing [UNK] token from the vocabulary"),
    ],
)
def test_a_text_that_the_model_or_the_tokenizer_fails_on(
    broken: Callable[[Path], Path], reason: str, detail: str, tmp_path: Path, model: Path
) -> None:
    lists = [query(f"q{i}", [candidate(d, d) for d in "abcdz"], "a" if i < 2 else "z") for i in range(3)]
    source = Path(write(tmp_path / "in.parquet", nested_table(lists)))
    assert rerank(source, tmp_path / "whole", model) == 0
    expected = {pair: score for pair, score in scores(tmp_path / "whole").items() if pair[0] != "q2" and pair[1] != "z"}
    assert len(expected) == 8

    assert rerank(source, tmp_path / "out", broken(tmp_path / "broken")) == 0
    assert scores(tmp_path / "out") == pytest.approx(expected, abs=1e-5)
    failed = [("q0", "z"), ("q1", "z"), *(("q2", d) for d in "abcdz")]
    assert reasons(tmp_path / "out") == [(*pair, None, reason) for pair in failed]
    assert {row["detail"] for row in rows(tmp_path / "out", "rejected")} == {detail}


# The hub


# Runs the job for each model that a line of stdin names, and tells its exit code and its errors. Waiting before another
# try is left out.
JOBS = """
import contextlib, io, json, sys, time
time.sleep = lambda seconds: None
from pipelines.rerank.__main__ import main
for line in sys.stdin:
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        exit_code = main([*sys.argv[1:], "--model", line.strip()])
    print(json.dumps([exit_code, errors.getvalue()]), flush=True)
"""
LATER = "the same command later continues\n"


def test_hubs_that_fail(tmp_path: Path, model: Path) -> None:
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    faults = [
        Fault("/o/token/", 401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
        Fault("/o/gone/", 404, {"X-Error-Code": "RepoNotFound"}),
        Fault("/o/busy/", 429, {"Retry-After": "1"}),
        Fault("/o/broken/", 500, {}),
    ]
    repositories = {f"o/{name}": files for name in ("token", "gone", "busy", "broken", "half")}
    source = write_letters(tmp_path / "in.parquet", queries=2, candidates=3)
    output = tmp_path / "out"
    command = [
        *(sys.executable, "-c", JOBS, "--input", str(source), "--output", str(output)),
        *("--dtype", "float32", RUNNER),
    ]
    with serving(Hub(repositories, faults, {"/o/half/.*/model.safetensors": 100})) as hub:
        environment = {
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
        }
        with subprocess.Popen(
            command, env=os.environ | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            questions, answers = process.stdin, process.stdout
            assert questions
            assert answers

            def run(model: str) -> tuple[int, str]:
                print(model, file=questions, flush=True)
                exit_code, errors = json.loads(answers.readline())
                return exit_code, errors

            for name, exit_code, said in [
                ("o/token", 2, "the hub answered 401; check that your HF_TOKEN is valid and may read it\n"),
                ("o/gone", 2, "neither a directory here nor on the hub, or private there; check it, or set HF_TOKEN\n"),
                ("o/busy", 1, f"the hub answered 429; {LATER}"),
                ("o/broken", 1, f"the hub answered 500; {LATER}"),
            ]:
                assert run(name) == (exit_code, f"error: model {name}: {said}")
            exit_code, errors = run("o/half")
            assert exit_code == 1
            assert errors.startswith("error: model o/half: cannot be fetched from the hub (")
            assert errors.endswith(f"); {LATER}")
            assert errors.count("\n") == 1
            assert not output.exists()

            hub.cuts.clear()
            assert run("o/half")[0] == 0
            questions.close()
    assert rerank(source, tmp_path / "undisturbed", model) == 0
    assert rows(output) == rows(tmp_path / "undisturbed")
