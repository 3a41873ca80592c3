"""An output directory belongs to one kind of job, and a candidates job that made nothing leaves it free."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.__main__ import main as evaluate
from pipelines.candidates.__main__ import main as candidates
from tests.support import tiny
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import RUNNER, rerank

CORPUS = '{"_id": "d1", "text": "a b"}\n{"_id": "d2", "text": "c"}\n'
QUERIES = '{"_id": "q1", "text": "a"}\n'


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_candidates(folder: Path, output: Path, retriever: str = "bm25", *options: str) -> int:
    (folder / "corpus.jsonl").write_text(CORPUS, encoding="utf-8")
    (folder / "queries.jsonl").write_text(QUERIES, encoding="utf-8")
    files = ["--corpus", str(folder / "corpus.jsonl"), "--queries", str(folder / "queries.jsonl")]
    return candidates([*files, "--output", str(output), "--retriever", retriever, RUNNER, *options])


def make_scores(folder: Path, output: Path, *options: str) -> int:
    source = Path(write(folder / "in.parquet", nested_table([query("q", [candidate("d", "a")], "b")])))
    return rerank(source, output, tiny.bert(folder / "model"), *options)


@pytest.mark.parametrize("options", [(), ("--overwrite",)])
@pytest.mark.parametrize("recorded", [True, False])
def test_an_output_of_another_kind_of_job_is_refused_and_left_alone(
    tmp_path: Path, options: tuple[str, ...], recorded: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where job.json is from before kinds were recorded."""
    kinds = {"candidates": make_candidates, "reranking": make_scores}
    for kind, make in kinds.items():
        output = tmp_path / kind
        assert make(tmp_path, output) == 0
        if not recorded:
            content = json.loads((output / "job.json").read_text(encoding="utf-8"))
            assert content.pop("kind") == kind
            (output / "job.json").write_text(json.dumps(content), encoding="utf-8")
        before = everything(output)
        [(other, make_other)] = [(name, maker) for name, maker in kinds.items() if name != kind]
        capsys.readouterr()
        words = (*(["bm25"] if other == "candidates" else []), *options)
        assert make_other(tmp_path, output, *words) == 2
        assert capsys.readouterr().err.splitlines()[-1] == (
            f"error: output {output} is a {kind} job's, and this is a {other} one; give another --output"
        )
        assert everything(output) == before
        assert make(tmp_path, output) == 0, "its own job goes on"


def test_what_reads_scores_refuses_the_output_of_a_job_without_any(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert make_candidates(tmp_path, output) == 0
    capsys.readouterr()
    for words in (["export", str(output), "--to", str(tmp_path / "to"), "--format", "ids"], ["verify-output", output]):
        assert evaluate([*map(str, words)]) == 2
        assert capsys.readouterr().err == (
            f"error: {output}: is a candidates job's; give the directory that a reranking job's --output named\n"
        )


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("run:wrong.trec", "none of the queries is in the run"),
        ("corpus", "corpus.jsonl: line 1"),
    ],
)
def test_a_candidates_job_that_made_nothing_leaves_the_output_free(
    tmp_path: Path, mistake: str, message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.trec").write_text("q7 Q0 d1 1 2.0 t\n", encoding="utf-8")
    if mistake == "corpus":
        monkeypatch.setattr("tests.pipelines.test_job_kinds.CORPUS", "no json\n")
    assert make_candidates(tmp_path, tmp_path / "out", "bm25" if mistake == "corpus" else mistake) == 2
    assert message in capsys.readouterr().err
    assert everything(tmp_path / "out") == {}
    monkeypatch.undo()
    assert make_candidates(tmp_path, tmp_path / "out") == 0


def test_ids_that_a_run_cannot_hold_are_refused_before_anything_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny.bert(tmp_path / "model")
    good = query("q1", [candidate("d1", "a"), candidate(None, "a"), candidate(" ", "a")], "b")
    run = ("--run_file", str(tmp_path / "run"))
    for bad, message in (
        (query("q 2", [candidate("d1", "a")], "b"), "query id 'q 2' has white space in it or is empty"),
        (query("q2", [candidate("d\t1", "a")], "b"), "document id 'd\\t1' has white space in it or is empty"),
    ):
        source = Path(write(tmp_path / "in.parquet", nested_table([good, bad]), row_group_size=1))
        assert rerank(source, tmp_path / "out", model, *run) == 2
        assert f"error: {source}: {message}" in capsys.readouterr().err
        assert everything(tmp_path / "out") == {}
    source = Path(write(tmp_path / "in.parquet", nested_table([good]), row_group_size=1))
    assert rerank(source, tmp_path / "out", model, *run) == 0
    assert len((tmp_path / "run").read_text(encoding="utf-8").splitlines()) == 1
