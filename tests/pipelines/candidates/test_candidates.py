from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.candidates.__main__ import main
from tests.support import copies, tiny, tiny_encoder
from tests.support.job_run import RUNNER, rerank, rows
from tests.support.object_store import ObjectStore
from transforms.base import files
from transforms.job import progress
from transforms.retrieval import bm25, join, step_files
from transforms.retrieval.dense import Searcher
from transforms.scoring import Encoder

DOCUMENTS = [{"_id": f"d{number}", "text": " ".join("abcdefgh"[number % 8 :])} for number in range(12)]
QUESTIONS = [{"_id": f"q{number}", "text": f"{'abcdefgh'[number]} h"} for number in range(8)]
RUN = "".join(
    f"q{number} Q0 d{place} 1 {(number * 5 + place * 7) % 11} t\n" for number in range(8) for place in range(9)
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The user's own files, in a format each."""
    qrels = "".join(f"q{number}\t0\td{number}\t1\n" for number in range(8))
    content = {
        "corpus.jsonl.gz": copies.packed(copies.lines(DOCUMENTS)),
        "queries.parquet": copies.parquet(QUESTIONS),
        "qrels.tsv": qrels.encode(),
        "run.txt": RUN.encode(),
    }
    return copies.write(tmp_path / "data", content)


def own(data: Path) -> list[str]:
    paths = {"--corpus": "corpus.jsonl.gz", "--queries": "queries.parquet", "--qrels": "qrels.tsv"}
    return [word for option, name in paths.items() for word in (option, str(data / name))]


def make(data: Path, output: Path | str, retriever: str, *options: str) -> int:
    return main([*own(data), "--output", str(output), "--retriever", retriever, "--depth", "4", RUNNER, *options])


def lists(output: Path) -> dict[str, list[str]]:
    table = [
        row for part in sorted(output.glob("candidates/part-*.parquet")) for row in pq.read_table(part).to_pylist()
    ]
    return {row["query_id"]: [candidate["doc_id"] for candidate in row["candidates"]] for row in table}


def parts(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(output.glob("candidates/part-*.parquet"))}


def report(output: Path) -> dict[str, Any]:
    return dict(json.loads((output / "candidates.json").read_text(encoding="utf-8")))


def test_candidates_go_straight_into_reranking(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert make(data, output, "run:" + str(data / "run.txt")) == 0
    assert capsys.readouterr().out == (
        "queries    8, 0 of them without candidates\n"
        "candidates 32, from a corpus of 12 documents\n"
        f"written    {output}/candidates, candidates.json beside it\n"
    )
    assert sorted(path.name for path in output.iterdir()) == [
        "_SUCCESS",
        "candidates",
        "candidates.json",
        "job.json",
        "qrels.txt",
    ]
    assert (output / "qrels.txt").read_text().splitlines()[:2] == ["q0\t0\td0\t1", "q1\t0\td1\t1"]
    # Scores of q0: 0 7 3 10 6 2 9 5 1.
    assert lists(output)["q0"] == ["d3", "d6", "d1", "d4"]
    assert rerank(output, tmp_path / "reranked", tiny.bert(tmp_path / "model")) == 0
    scored = rows(tmp_path / "reranked")
    first_stage = {(row["query_id"], row["first_stage_rank"]): row["doc_id"] for row in scored}
    assert first_stage == {
        (query, rank): doc for query, docs in lists(output).items() for rank, doc in enumerate(docs, 1)
    }


def test_report(data: Path, tmp_path: Path) -> None:
    assert make(data, tmp_path / "out", "bm25", "--language", "de") == 0
    content = report(tmp_path / "out")
    assert content["retriever"].pop("bm25s")
    assert content["retriever"] == {"kind": "bm25", "k1": 0.9, "b": 0.4, "analysis": "de: german stemmer"}
    assert (content["dataset"], content["split"], content["source"]["revisions"]) == ("own files", None, {})
    assert list(content["source"]["files"]) == [
        str(data / name) for name in ("corpus.jsonl.gz", "queries.parquet", "qrels.tsv")
    ]
    counts = ("queries", "queries_without_candidates", "pairs", "corpus_documents", "depth", "exclude_identical_ids")
    assert {name: content[name] for name in counts} == {
        "queries": 8,
        "queries_without_candidates": 0,
        "pairs": 32,
        "corpus_documents": 12,
        "depth": 4,
        "exclude_identical_ids": False,
    }
    assert content["versions"]["bm25s"]
    assert content["seconds"] > 0


def test_dense_shards_are_merged_and_continued(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_encoder.bert(tmp_path / "model")
    options = (f"dense:{model}", "--dtype", "float32", "--device", "cpu")
    assert make(data, tmp_path / "whole", *options) == 0
    monkeypatch.setattr(join, "write_parts", stop)
    assert make(data, tmp_path / "shards", *options, "--shard_documents", "5") == 1
    hits = sorted((tmp_path / "shards/_work/hits").iterdir())
    assert [path.name for path in hits] == [f"part-00000-0000{number}.parquet" for number in range(3)]
    monkeypatch.undo()
    hits[1].unlink()
    inodes = hits[0].stat().st_ino, hits[2].stat().st_ino
    monkeypatch.setattr(files, "delete_tree", lambda directory: None)
    # Device and dtype are those of the job that is continued.
    assert make(data, tmp_path / "shards", f"dense:{model}", "--shard_documents", "5") == 0
    assert (hits[0].stat().st_ino, hits[2].stat().st_ino) == inodes
    assert lists(tmp_path / "shards") == lists(tmp_path / "whole")
    content = report(tmp_path / "shards")
    assert content["retriever"]["kind"] == "dense"
    assert content["retriever"]["model"]["files"]["model.safetensors"]
    assert content["execution"]["dtype"] == "float32"


def test_jobs_of_one_corpus_share_embeddings(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = (f"dense:{tiny_encoder.bert(tmp_path / 'model')}", "--embeddings", str(tmp_path / "kept"))
    assert make(data, tmp_path / "first", *options) == 0
    embeddings = list((tmp_path / "kept").rglob("*.npy"))
    assert len(embeddings) == 1
    killed, running = (embeddings[0].with_name(f".{name}.tmp") for name in ("killed", "running"))
    killed.touch()
    os.utime(killed, (time.time() - 7200, time.time() - 7200))
    running.touch()
    monkeypatch.setattr(Searcher, "embed", stop)
    assert make(data, tmp_path / "second", *options, "--depth", "3") == 0
    assert (killed.exists(), running.exists()) == (False, True)
    assert lists(tmp_path / "second") == {query: docs[:3] for query, docs in lists(tmp_path / "first").items()}
    # Not those of the same corpus in other shards.
    assert make(data, tmp_path / "third", *options, "--shard_documents", "5") == 1


def test_queries_that_cannot_be_embedded_are_counted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    embed = Encoder.embed

    def without_some(self: Encoder, texts: list[str], side: Any) -> Any:
        rows = embed(self, texts, side)
        if side == "query":
            rows[[2, 5]] = float("nan")
        return rows

    monkeypatch.setattr(Encoder, "embed", without_some)
    options = (f"dense:{tiny_encoder.bert(tmp_path / 'model')}", "--shard_documents", "5")
    assert make(data, tmp_path / "out", *options) == 0
    content = report(tmp_path / "out")
    assert (content["queries_not_embedded"], content["queries_without_candidates"]) == (2, 2)
    assert "not found  2 queries without candidates: not embedded" in capsys.readouterr().out.splitlines()


def stop(*_: Any, **__: Any) -> None:
    raise RuntimeError("stopped")


@pytest.mark.parametrize("retriever", ["bm25", "run"])
def test_a_job_that_fails_goes_on_and_gives_the_same_bytes(
    data: Path, tmp_path: Path, retriever: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = "bm25" if retriever == "bm25" else f"run:{data}/run.txt"
    monkeypatch.setattr(join, "PART_PAIRS", 8)
    assert make(data, tmp_path / "undisturbed", stage) == 0
    nested = join._nested

    def fail(queries: Any, pairs: Any, first: int) -> Any:
        return stop() if first >= 4 else nested(queries, pairs, first)

    monkeypatch.setattr(join, "_nested", fail)
    output = tmp_path / "out"
    assert make(data, output, stage) == 1
    assert capsys.readouterr().err.endswith(
        "error: the job failed, see above; what is done is kept, the same command continues\n"
    )
    assert list(parts(output)) == ["part-00000.parquet", "part-00001.parquet"]
    assert not (output / "_SUCCESS").exists()
    done = [path.stat().st_ino for path in sorted(output.glob("candidates/part-*.parquet"))]

    for step in ("_work", "_work/corpus", "_work/hits", "candidates"):
        (output / step / ".part-00000.parquet.0.tmp").write_bytes(b"what a killed run leaves")
    monkeypatch.setattr(join, "_nested", nested)
    monkeypatch.setattr(bm25, "index", stop)  # its hits are there
    assert make(data, output, stage) == 0
    assert parts(output) == parts(tmp_path / "undisturbed")
    assert len(parts(output)) == 4
    assert [path.stat().st_ino for path in sorted(output.glob("candidates/part-*.parquet"))][:2] == done


def test_a_finished_job_is_left_alone(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make(data, tmp_path / "out", "bm25") == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    monkeypatch.setattr(step_files, "write", stop)
    assert make(data, tmp_path / "out", "bm25") == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_interrupt_ends_after_the_step_in_hand(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    index, stopping = bm25.index, threading.Event()

    def request(folder: str) -> None:
        progress.request_stop(folder)
        stopping.set()

    def interrupted(*arguments: Any) -> bm25.Index:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping.wait(300), "it arrives in the main thread"
        return index(*arguments)

    monkeypatch.setattr("pipelines.running.stopping.request_stop", request)
    monkeypatch.setattr(bm25, "index", interrupted)
    assert make(data, tmp_path / "out", "bm25") == 130
    assert capsys.readouterr().err.endswith("interrupted: the same command continues\n")
    assert not parts(tmp_path / "out")
    monkeypatch.setattr(bm25, "index", stop)
    assert make(data, tmp_path / "out", "bm25") == 0
    assert len(lists(tmp_path / "out")) == 8


def test_another_jobs_output_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert make(data, output, "bm25") == 0
    before = parts(output)
    assert make(data, output, "bm25", "--depth", "3") == 2
    assert capsys.readouterr().err == (
        f"error: output {output} is another job's: depth: 4 there, 3 here; "
        "give another --output, or delete what is there (--overwrite)\n"
    )
    (data / "qrels.tsv").write_text("q0\t0\td0\t0\n")
    assert make(data, output, "bm25") == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: output {output} is another job's: files.{data}/qrels.tsv: 80 bytes, ")
    assert errors.count("\n") == 1
    assert parts(output) == before
    assert make(data, output, "bm25", "--depth", "3", "--overwrite") == 0
    assert lists(output) == {"q0": ["d7", "d6", "d5"]}
    assert (output / "qrels.txt").read_text() == "q0\t0\td0\t0\n"


def test_identical_ids_are_dropped_where_beir_does(tmp_path: Path) -> None:
    folder = copies.directory(tmp_path / "arguana", [{"_id": "1", "text": "film"}, {"_id": "2", "text": "film"}])
    arguments = ["--dataset", str(folder), "--retriever", "bm25", RUNNER]
    assert main([*arguments, "--output", str(tmp_path / "beir")]) == 0
    assert main([*arguments, "--output", str(tmp_path / "kept"), "--no-exclude_identical_ids"]) == 0
    assert lists(tmp_path / "beir") == {"7": [], "1": ["2"]}
    assert lists(tmp_path / "kept") == {"7": [], "1": ["2", "1"]}
    assert report(tmp_path / "beir")["queries_without_candidates"] == 1
    assert [report(tmp_path / name)["exclude_identical_ids"] for name in ("beir", "kept")] == [True, False]


def test_hits_that_are_not_in_the_corpus(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "some.txt").write_text("q0 Q0 gone 1 2 t\nq0 Q0 d1 2 1 t\n")
    assert make(data, tmp_path / "some", f"run:{data}/some.txt") == 0
    assert "missing    1 hit with a document that is not in the corpus\n" in capsys.readouterr().out
    assert report(tmp_path / "some")["hits_not_in_corpus"] == 1
    (data / "all.txt").write_text("q0 Q0 gone 1 2 t\n")
    assert make(data, tmp_path / "all", f"run:{data}/all.txt") == 2
    assert capsys.readouterr().err == (
        "error: none of the documents that the first stage names is in the corpus; do they belong together?\n"
    )
    assert not (tmp_path / "all/_SUCCESS").exists()
    (data / "others.txt").write_text("q99 Q0 d1 1 2 t\n")
    assert make(data, tmp_path / "others", f"run:{data}/others.txt") == 2
    assert not (tmp_path / "all").exists()
    assert not (tmp_path / "others").exists()
    assert capsys.readouterr().err == "error: none of the queries is in the run; do they belong together?\n"


def test_an_output_is_no_input_of_its_own_job(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert make(data, output, "bm25") == 0
    before = (output / "qrels.txt").read_bytes()
    (output / "run.txt").write_text(RUN)
    for mistake in (["--qrels", f"{output}/qrels.txt"], ["--retriever", f"run:{output}/run.txt"]):
        capsys.readouterr()
        assert make(data, output, "bm25", *mistake, "--overwrite") == 2
        path = mistake[1].removeprefix("run:")
        message = f"error: input {path} lies in the job's own directory; give another --output\n"
        assert capsys.readouterr().err == message
    assert (output / "qrels.txt").read_bytes() == before
    assert (output / "_SUCCESS").exists()


def test_output_in_an_object_store(data: Path, tmp_path: Path) -> None:
    ObjectStore.objects.clear()
    assert make(data, "mem://bucket/out", "bm25", "--shard_documents", "5") == 0
    assert make(data, tmp_path / "here", "bm25") == 0
    names = {name.removeprefix("mem://bucket/out/") for name in ObjectStore.objects}
    assert names == {"_SUCCESS", "candidates.json", "candidates/part-00000.parquet", "job.json", "qrels.txt"}
    part = ObjectStore.objects["mem://bucket/out/candidates/part-00000.parquet"]
    assert part == parts(tmp_path / "here")["part-00000.parquet"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--retriever", "bm25"], "give either --dataset or your own --queries and --corpus, with --qrels if there "),
        (["--dataset", "beir/nq", "--corpus", "c", "--retriever", "bm25"], "give either --dataset or your own "),
        (["--corpus", "c", "--retriever", "bm25"], "--corpus alone: give --queries and --corpus both"),
        (["--qrels", "c", "--retriever", "bm25"], "--qrels alone: give --queries and --corpus both"),
        (
            ["--corpus", "c", "--queries", "q", "--split", "dev", "--retriever", "bm25"],
            "--split and --data_dir apply to --dataset; leave them out",
        ),
        (
            ["--dataset", "beir/nq", "--retriever", "dense"],
            "argument --retriever: 'dense' is none of bm25, dense:MODEL, ",
        ),
        (
            ["--dataset", "beir/nq", "--retriever", "run:x", "--language", "de"],
            "--language applies to bm25; leave it out",
        ),
        (
            ["--dataset", "beir/nq", "--retriever", "bm25", "--language", "English"],
            "argument --language: 'English' is not the code of a language, such as en; see --help",
        ),
        (["--dataset", "beir/nq", "--retriever", "bm25:x"], "argument --retriever: 'bm25:x' is none of bm25, "),
        (["--dataset", "beir/nq", "--retriever", "tfidf:x"], "argument --retriever: 'tfidf:x' is none of bm25, "),
        (
            ["--dataset", "beir/nq", "--retriever", "bm25", "--dtype", "float16"],
            "--dtype applies to a dense first stage",
        ),
        (
            ["--dataset", "beir/nq", "--retriever", "bm25", "--depth", "16385"],
            "argument --depth: 16385 is more than a ",
        ),
        (["--dataset", "beir/sciFacts", "--retriever", "bm25"], "data set beir/sciFacts: neither a directory nor a "),
        (["--dataset", "{here}", "--retriever", "run:no"], "--retriever run:no: [Errno 2] No such file or directory"),
        (["--dataset", "{here}", "--retriever", "run:{here}"], "--retriever run:{here}: [Errno 21] Is a directory"),
        (
            ["--dataset", "{here}", "--retriever", "dense:small-cross-encoder"],
            "--retriever dense:small-cross-encoder: it gives no embeddings of texts; give a sentence encoder",
        ),
        (["--dataset", "{here}", "--retriever", "bm25", "--dpeth", "3"], "--dpeth: neither this command nor Beam has "),
    ],
)
def test_mistakes(tmp_path: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    here = copies.directory(tmp_path / "here")
    words = [word.format(here=here) for word in arguments]
    assert main([*words, "--output", str(tmp_path / "out"), RUNNER]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {said.format(here=here)}")
    assert errors.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_names_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--list_datasets"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["beir/trec-covid", "beir/nfcorpus"]


def test_columns_of_other_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = {
        "corpus.csv": b"key,body,lang\n" + "".join(f"{row['_id']},{row['text']},en\n" for row in DOCUMENTS).encode(),
        "queries.jsonl": copies.lines([{"number": row["_id"], "asked": row["text"]} for row in QUESTIONS]),
        "run.txt": RUN.encode(),
    }
    data = copies.write(tmp_path / "data", content)
    words = [
        *("--corpus", str(data / "corpus.csv"), "--queries", str(data / "queries.jsonl")),
        *("--retriever", f"run:{data / 'run.txt'}", "--output", str(tmp_path / "out"), "--depth", "4", RUNNER),
    ]
    columns = "doc_id=key,text=body,query_id=number,query=asked"
    assert main([*words, "--columns", columns]) == 0
    assert len(lists(tmp_path / "out")) == 8
    options = json.loads((tmp_path / "out" / "job.json").read_text(encoding="utf-8"))["options"]
    assert options["columns"] == columns.split(",")
    capsys.readouterr()
    assert main([*words, "--columns", "docid=key"]) == 2
    assert capsys.readouterr().err.startswith("error: --columns docid=key: 'docid' is no field; fields are doc_id, ")
