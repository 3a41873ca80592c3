"""`--retry_rejected`: nothing good is lost, and nothing is paid for twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from eval.__main__ import main as evaluate
from pipelines.rerank.__main__ import main
from tests.pipelines.rerank.test_endpoint import arguments, write_input
from tests.support import tiny, tiny_listwise
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import parts, reasons, report, rerank, rows
from tests.support.stub_endpoint import Exchange, RerankServer, Step, answer, status
from transforms.base import files
from transforms.layout import RETRY, STAGED_DIRECTORY, SUCCESS
from transforms.scoring.families.cross_encoder import CrossEncoder
from transforms.scoring.families.listwise import Listwise
from transforms.scoring.packed.packing import Packed

pytestmark = pytest.mark.usefixtures("keyed_and_quick")
BAD = {"0.12", "0.31", "0.32"}
TEXTS = [[f"0.{query}{place}" for place in range(1, 6)] for query in range(1, 4)]
RETRIED = ("--retry_rejected", "endpoint_error")


def refuse_bad(exchange: Exchange) -> None:
    """Refuse a request that has one of the bad documents."""
    (status(422) if BAD & set(exchange.received.documents) else answer)(exchange)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RerankServer]:
    """The API of a finished job of three shards, in two of which it refused documents."""
    write_input(tmp_path / "in.parquet", TEXTS)
    with RerankServer(habit=refuse_bad) as api:
        assert main(arguments(tmp_path, api)) == 0
        assert rejected(tmp_path) == sorted(BAD)
        api.received.clear()
        yield api


def rejected(folder: Path) -> list[str]:
    """The texts of the rejected pairs."""
    return sorted(TEXTS[int(q[1:])][int(d[1:])] for q, d, *_ in reasons(folder / "out") if q and d)


def again(folder: Path, server: RerankServer, habit: Step, *more: str) -> int:
    """The job's command again, with another habit of the API; what it is asked for is noted anew."""
    server.received.clear()
    server.habit = habit
    return main(arguments(folder, server, *more))


def refusing(*documents: str, code: int = 422) -> Step:
    """Refuse a request that has one of the documents."""
    return lambda exchange: (status(code) if {*documents} & {*exchange.received.documents} else answer)(exchange)


def ranked(folder: Path) -> dict[str, list[tuple[int, str, float]]]:
    content: dict[str, list[tuple[int, str, float]]] = {}
    for row in rows(folder / "out"):
        content.setdefault(row["query_id"], []).append((row["rank"], row["doc_id"], round(row["score"], 6)))
    return content


def test_only_the_rejected_pairs_are_sent_and_the_rest_is_taken_over(tmp_path: Path, server: RerankServer) -> None:
    untouched = parts(tmp_path / "out")["scored/part-00000-00001-00000.parquet"]
    assert again(tmp_path, server, answer, *RETRIED) == 0
    assert sorted(server.documents) == sorted(BAD)
    expected = {
        f"q{number}": [
            (rank, f"d{place}", float(text))
            for rank, (place, text) in enumerate(sorted(enumerate(texts), key=lambda pair: -float(pair[1])), start=1)
        ]
        for number, texts in enumerate(TEXTS)
    }
    assert ranked(tmp_path) == expected
    assert parts(tmp_path / "out")["scored/part-00000-00001-00000.parquet"] == untouched
    content = report(tmp_path / "out")
    assert (content["pairs"]["total"], content["pairs"]["scored"], content["rejected"]) == (15, 15, {})
    assert not (tmp_path / "out" / RETRY).exists()
    assert not any((tmp_path / "out" / STAGED_DIRECTORY).glob("*"))
    assert (tmp_path / "out" / SUCCESS).exists()


def test_a_key_that_is_refused_since_loses_nothing(tmp_path: Path, server: RerankServer) -> None:
    before = parts(tmp_path / "out")
    assert again(tmp_path, server, status(401), *RETRIED) == 2
    assert parts(tmp_path / "out") == before
    assert (tmp_path / "out" / SUCCESS).exists()
    assert again(tmp_path, server, answer) == 0, "the job is as whole as before"
    assert (parts(tmp_path / "out"), server.documents) == (before, [])


def test_what_is_refused_again_is_asked_for_once_in_a_retry(tmp_path: Path, server: RerankServer) -> None:
    """The retry is stopped after its first shard; the same command asks for what is left alone."""

    def stop_at_the_last_query(exchange: Exchange) -> None:
        (refusing("0.31", "0.32", code=401) if "0.12" not in exchange.received.documents else status(422))(exchange)

    assert again(tmp_path, server, stop_at_the_last_query, *RETRIED) == 2
    assert "0.12" in server.documents
    assert again(tmp_path, server, answer, *RETRIED) == 0
    assert sorted(server.documents) == ["0.31", "0.32"], "0.12 was tried in this retry"
    assert rejected(tmp_path) == ["0.12"]
    assert again(tmp_path, server, answer, *RETRIED) == 0, "another retry"
    assert server.documents == ["0.12"]
    assert rejected(tmp_path) == []


def test_a_staged_part_that_was_damaged_is_named(
    tmp_path: Path, server: RerankServer, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    name = next((out / "scored").iterdir()).name
    (out / STAGED_DIRECTORY).mkdir()
    staged = out / STAGED_DIRECTORY / name.replace(".parquet", ".scored.parquet")
    staged.write_bytes((out / "scored" / name).read_bytes()[:-9])
    assert again(tmp_path, server, answer, *RETRIED) == 2
    error = capsys.readouterr().err
    assert f"error: {staged}: cannot be read (" in error
    assert f"); delete its directory and both of the output's parts {name}, and they are scored again" in error
    shutil.rmtree(staged.parent)
    assert again(tmp_path, server, answer, *RETRIED) == 0
    assert rejected(tmp_path) == []


@pytest.mark.parametrize("kind", ["scored", "rejected"])
def test_a_stop_in_the_exchange_of_a_part_is_made_good(
    tmp_path: Path, server: RerankServer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before the scored part took its place, when the rejected rows had; or before these did."""
    rename = files.rename

    def stop(source: str, target: str, **how: bool) -> None:
        if source.endswith(f".{kind}.parquet"):
            raise OSError("stopped here")
        rename(source, target, **how)

    monkeypatch.setattr(files, "rename", stop)
    assert again(tmp_path, server, refusing("0.32"), *RETRIED) == 1
    sent = server.documents
    monkeypatch.setattr(files, "rename", rename)
    assert again(tmp_path, server, refusing("0.32"), *RETRIED) == 0
    assert not {*sent} & {*server.documents} - {"0.32"}, "what was scored is not paid for again"
    assert rejected(tmp_path) == ["0.32"]
    assert {query: len(content) for query, content in ranked(tmp_path).items()} == {"q0": 5, "q1": 5, "q2": 4}
    content = report(tmp_path / "out")["pairs"]
    assert (content["total"], content["scored"], content["rejected"]) == (15, 14, 1)


def test_top_k_keeps_the_best_of_old_and_new(tmp_path: Path) -> None:
    write_input(tmp_path / "in.parquet", TEXTS)
    with RerankServer(habit=refusing("0.31", "0.35")) as server:
        assert main(arguments(tmp_path, server, "--top_k", "2")) == 0
        assert ranked(tmp_path)["q2"] == [(1, "d3", 0.34), (2, "d2", 0.33)]
        assert again(tmp_path, server, answer, "--top_k", "2", *RETRIED) == 0
    assert ranked(tmp_path)["q2"] == [(1, "d4", 0.35), (2, "d3", 0.34)]
    assert report(tmp_path / "out")["pairs"]["scored"] == 15


def with_nan(forward: Callable[[Any, Packed], torch.Tensor]) -> Callable[[Any, Packed], torch.Tensor]:
    """The forward pass of a model that gives no numbers."""
    return lambda self, packed: forward(self, packed) * float("nan")


def two_lists(path: Path) -> Path:
    lists = [query(f"q{n}", [candidate("d1", "a b"), candidate("d2", "c"), candidate(None, "d")], "e") for n in "12"]
    return Path(write(path, nested_table(lists)))


def test_a_local_model_scores_the_rejected_pairs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, source = tiny.bert(tmp_path / "model"), two_lists(tmp_path / "in.parquet")
    assert rerank(source, tmp_path / "undisturbed", model) == 0
    forward = CrossEncoder.forward
    monkeypatch.setattr(CrossEncoder, "forward", with_nan(forward))
    assert rerank(source, tmp_path / "out", model) == 0
    monkeypatch.setattr(CrossEncoder, "forward", forward)
    assert rerank(source, tmp_path / "out", model, "--retry_rejected", "nan_score") == 0
    content, expected = (rows(tmp_path / name) for name in ("out", "undisturbed"))
    assert [(row["query_id"], row["doc_id"], row["rank"], row["tokens"]) for row in content] == [
        (row["query_id"], row["doc_id"], row["rank"], row["tokens"]) for row in expected
    ]
    assert [row["score"] for row in content] == pytest.approx([row["score"] for row in expected], abs=1e-5)
    assert reasons(tmp_path / "out") == reasons(tmp_path / "undisturbed")
    assert report(tmp_path / "out")["tokens"]["total"] == report(tmp_path / "undisturbed")["tokens"]["total"]


def test_a_listwise_model_scores_the_whole_shard_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, source = tiny_listwise.checkpoint(tmp_path / "model"), two_lists(tmp_path / "in.parquet")
    assert rerank(source, tmp_path / "undisturbed", model) == 0
    forward = Listwise.forward
    monkeypatch.setattr(Listwise, "forward", with_nan(forward))
    assert rerank(source, tmp_path / "out", model) == 0
    monkeypatch.setattr(Listwise, "forward", forward)
    assert rerank(source, tmp_path / "out", model, "--retry_rejected", "nan_score") == 0
    assert parts(tmp_path / "out") == parts(tmp_path / "undisturbed")


@pytest.mark.parametrize("reason", ["duplicate_doc_id", "null_text"])
def test_a_scored_pair_with_the_ids_of_a_rejected_one_is_not_scored_again(tmp_path: Path, reason: str) -> None:
    first = None if reason == "null_text" else "a b"
    lists = [query("q", [candidate("d1", first), candidate("d1", "c"), candidate("d2", "d")], "e")]
    source, model = Path(write(tmp_path / "in.parquet", nested_table(lists))), tiny.bert(tmp_path / "model")
    assert rerank(source, tmp_path / "out", model) == 0
    before = parts(tmp_path / "out")
    assert [row[3] for row in reasons(tmp_path / "out")] == [reason]
    assert rerank(source, tmp_path / "out", model, "--retry_rejected", reason) == 0
    assert parts(tmp_path / "out") == before
    assert sorted(row["doc_id"] for row in rows(tmp_path / "out")) == ["d1", "d2"]


# Parts that are whole


def damage_a_page(path: Path) -> None:
    """Change a byte of the scores so that without a checksum nothing would show: a score is another, that is all."""
    whole, before = path.read_bytes(), pq.read_table(path)
    chunk = pq.read_metadata(path).row_group(0).column(before.schema.get_field_index("score"))
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    for place in reversed(range(start, start + chunk.total_compressed_size)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with suppress(pa.ArrowException, OSError):
            if not pq.read_table(path)["score"].equals(before["score"]):
                return
    raise AssertionError("no byte is such")


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A finished job with a tiny model, in two parts."""
    lists = [query(f"q{n}", [candidate(f"d{i}", t) for i, t in enumerate("abc")], "e") for n in range(2)]
    source = Path(write(tmp_path / "in.parquet", nested_table(lists), row_group_size=1))
    assert rerank(source, tmp_path / "out", tiny.bert(tmp_path / "model")) == 0
    return tmp_path


def test_damage_in_a_page_is_found_and_its_shard_scored_again(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = finished / "out"
    before = parts(out)
    damage_a_page(out / "scored" / "part-00000-00001-00000.parquet")
    assert parts(out) != before
    capsys.readouterr()
    assert verify(out) == 1
    assert f"{out}/scored/part-00000-00001-00000.parquet is damaged" in capsys.readouterr().out
    (finished / "qrels").write_text("q0 0 d0 1\nq1 0 d1 1\n")
    assert evaluate(["measure", str(out), "--qrels", str(finished / "qrels")]) == 2
    assert capsys.readouterr().err.startswith(
        f"error: {out}/scored/part-00000-00001-00000.parquet: cannot be read (could not verify page integrity"
    )
    assert rerank(finished / "in.parquet", out, finished / "model", "--run_file", str(finished / "run")) == 0
    assert parts(out) == before
    assert verify(out) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{out} is whole: 2 parts, 6 of 6 pairs scored"


def verify(out: Path) -> int:
    return evaluate(["verify-output", str(out)])


def test_a_copy_of_a_part_and_a_part_of_no_shard_are_named(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = finished / "out"
    copy = out / "scored" / "part-00000-00001-00001.parquet"
    shutil.copy(out / "scored" / "part-00000-00001-00000.parquet", copy)
    capsys.readouterr()
    line = f"{copy} is a copy of part-00000-00001-00000.parquet: move it out of the directory of scored parts"
    assert rerank(finished / "in.parquet", out, finished / "model") == 2
    assert f"error: {line}" in capsys.readouterr().err
    assert verify(out) == 1
    assert capsys.readouterr().out.splitlines() == [line]
    copy.unlink()
    (out / "scored" / "part-00000-00000-00000.parquet").unlink()
    assert verify(out) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{out}: parts of row group 0 of input file 0 are missing; give the job's command again",
        f"{out}: 1 of the 2 parts that report.json counts are whole",
    ]


def test_output_is_whole_where_its_plan_is_damaged(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A job that continues makes the plan anew."""
    out = finished / "out"
    (out / "_plan.parquet").write_bytes(b"PAR1")
    assert verify(out) == 0
    (out / "scored" / "part-00000-00000-00000.parquet").unlink()
    assert verify(out) == 1
    assert capsys.readouterr().out.splitlines()[-1] == (f"{out}: 1 of the 2 parts that report.json counts are whole")


def test_verify_output_of_what_is_no_jobs_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(tmp_path) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: no job.json in it; give the directory that")
