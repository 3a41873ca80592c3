"""`--retry_rejected` after other things were done to the job, and where something goes wrong in it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.__main__ import main as evaluate
from pipelines.rerank import job
from pipelines.rerank.__main__ import main
from tests.support.input_files import candidate, nested_table, query, write
from tests.support.job_run import RUNNER, parts, reasons, report, rows
from tests.support.stub_endpoint import RerankServer, Step, answer, status
from transforms.layout import SUCCESS

pytestmark = pytest.mark.usefixtures("keyed_and_quick")
RETRIED = ("--retry_rejected", "endpoint_error")
BAD = ("0.12", "0.21")
FIRST = "part-00000-00000-00000.parquet"


def refusing(*documents: str) -> Step:
    """Refuse a request that has one of the documents."""
    return lambda exchange: (status(422) if {*documents} & {*exchange.received.documents} else answer)(exchange)


def two_queries(path: Path, first: int = 1) -> Path:
    """A row group for each of two queries of three documents, whose texts are their scores."""
    lists = [query(f"q{q}", [candidate(f"d{d}", f"0.{q}{d}") for d in (1, 2, 3)], "q") for q in (first, first + 1)]
    return Path(write(path, nested_table(lists), row_group_size=1))


def run(folder: Path, server: RerankServer, habit: Step, *options: str, inputs: tuple[str, ...] = ("in",)) -> int:
    """The job with this habit of the API; what it is asked for is noted anew."""
    server.received.clear()
    server.habit = habit
    sources = [str(folder / f"{name}.parquet") for name in inputs]
    ends = ["--input", *sources, "--output", str(folder / "out"), "--model", server.address, "--endpoint_batch", "3"]
    return main([*ends, RUNNER, *options])


def scored(folder: Path) -> list[tuple[str, str, int, float]]:
    return [(row["query_id"], row["doc_id"], row["rank"], round(row["score"], 6)) for row in rows(folder / "out")]


def all_ranked(*queries: int) -> list[tuple[str, str, int, float]]:
    return [(f"q{q}", f"d{d}", 4 - d, float(f"0.{q}{d}")) for q in queries for d in (3, 2, 1)]


def test_a_job_that_was_extended_is_retried_as_one(tmp_path: Path) -> None:
    two_queries(tmp_path / "in.parquet")
    two_queries(tmp_path / "more.parquet", first=3)
    with RerankServer() as server:
        assert run(tmp_path, server, refusing(*BAD)) == 0
        both = ("in", "more")
        assert run(tmp_path, server, refusing("0.33"), "--extend", inputs=both) == 0
        assert sorted(server.documents)[-3:] == ["0.41", "0.42", "0.43"]
        assert [row[:2] for row in reasons(tmp_path / "out")] == [("q1", "d2"), ("q2", "d1"), ("q3", "d3")]
        assert run(tmp_path, server, answer, *RETRIED, inputs=both) == 0
        assert sorted(server.documents) == ["0.12", "0.21", "0.33"]
    assert scored(tmp_path) == all_ranked(1, 2, 3, 4)
    assert report(tmp_path / "out")["pairs"]["scored"] == 12


def test_new_files_and_a_retry_go_together(tmp_path: Path) -> None:
    two_queries(tmp_path / "in.parquet")
    two_queries(tmp_path / "more.parquet", first=3)
    with RerankServer() as server:
        assert run(tmp_path, server, refusing(*BAD)) == 0
        assert run(tmp_path, server, answer, "--extend", *RETRIED, inputs=("in", "more")) == 0
        texts = [f"0.{q}{d}" for q in (3, 4) for d in (1, 2, 3)]
        assert sorted(server.documents) == sorted([*BAD, *texts])
    assert scored(tmp_path) == all_ranked(1, 2, 3, 4)


def test_a_job_whose_parts_have_no_checksums_keeps_them_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_queries(tmp_path / "in.parquet")
    with RerankServer() as server:
        with monkeypatch.context() as then:
            then.setattr(job, "PART_VERSION", 1)
            assert run(tmp_path, server, refusing(*BAD)) == 0
        assert run(tmp_path, server, answer, *RETRIED) == 0
        assert sorted(server.documents) == [*BAD]
    assert scored(tmp_path) == all_ranked(1, 2)
    record = json.loads(pq.read_metadata(tmp_path / "out" / "scored" / FIRST).metadata[b"rerank"])
    assert record.keys() == {"counts", "job", "last"}
    assert evaluate(["verify-output", str(tmp_path / "out")]) == 0


def test_a_retry_of_a_retry_of_a_retry_counts_every_pair_once(tmp_path: Path) -> None:
    two_queries(tmp_path / "in.parquet")
    with RerankServer() as server:
        assert run(tmp_path, server, refusing(*BAD)) == 0
        for refused in (BAD, BAD[:1], ()):
            before = [row[:2] for row in reasons(tmp_path / "out")]
            assert run(tmp_path, server, refusing(*refused), *RETRIED) == 0
            assert sorted({*server.documents}) == [f"0.{q[1:]}{d[1:]}" for q, d in before if q and d]
            content = report(tmp_path / "out")["pairs"]
            assert (content["total"], content["rejected"]) == (6, len(refused))
    assert scored(tmp_path) == all_ranked(1, 2)


def test_kept_columns_of_every_kind_are_merged(tmp_path: Path) -> None:
    """Those of old rows come from a part, those of new ones from the input."""
    entry = pa.struct(
        [
            ("doc_id", pa.string()),
            ("text", pa.string()),
            ("tags", pa.list_(pa.string_view())),
            ("raw", pa.binary_view()),
        ]
    )
    documents = [{"doc_id": f"d{d}", "text": f"0.1{d}", "tags": ["t", str(d)], "raw": b"%d" % d} for d in (1, 2, 3)]
    columns: dict[str, Any] = {
        "query_id": ["q1"],
        "query": ["q"],
        "candidates": pa.array([documents], pa.list_(entry)),
        "language": pa.array(["de"]).dictionary_encode(),
        "seen": pa.array([1_700_000_000], pa.timestamp("s", "UTC")),
        "wide": pa.array(["w"], pa.large_string()),
        "nothing": pa.nulls(1),
    }
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    options = ("--keep_columns", "language,seen,wide,nothing,tags,raw")
    with RerankServer() as server:
        assert run(tmp_path, server, answer, *options) == 0
        whole = pq.ParquetFile(tmp_path / "out" / "scored" / FIRST).read()
        assert run(tmp_path, server, refusing("0.12"), *options, "--overwrite") == 0
        assert run(tmp_path, server, answer, *options, *RETRIED) == 0
        assert server.documents == ["0.12"]
    again = pq.ParquetFile(tmp_path / "out" / "scored" / FIRST).read()
    assert again.schema.equals(whole.schema)
    assert again.to_pylist() == whole.to_pylist()
    assert [row["tags"] for row in again.to_pylist()] == [["t", "3"], ["t", "2"], ["t", "1"]]


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def another_table(path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), path)


def another_part(path: Path) -> None:
    """Rows of the same columns, one too many."""
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table]), path)


@pytest.mark.parametrize("damage", [cut_short, another_table, another_part, Path.unlink])
@pytest.mark.parametrize("options", [(), RETRIED], ids=["continued", "retried"])
def test_a_part_whose_rejected_rows_are_damaged_is_scored_anew(
    tmp_path: Path, damage: Callable[[Path], None], options: tuple[str, ...]
) -> None:
    two_queries(tmp_path / "in.parquet")
    with RerankServer() as server:
        assert run(tmp_path, server, refusing(*BAD)) == 0
        before = parts(tmp_path / "out")
        damage(tmp_path / "out" / "rejected" / FIRST)
        assert run(tmp_path, server, refusing(*BAD), *options) == 0
        assert {"0.11", "0.12", "0.13"} <= {*server.documents}
        assert ("0.22" in server.documents, "0.21" in server.documents) == (False, bool(options))
    name = f"rejected/{FIRST}"
    assert parts(tmp_path / "out")[name] == before[name]
    assert evaluate(["verify-output", str(tmp_path / "out")]) == 0


def test_a_disk_that_fills_in_the_exchange_of_a_part_is_one_line_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory that must grow for a name needs a block of the disk."""
    two_queries(tmp_path / "in.parquet")
    replace = Path.replace

    def full(source: Path, target: Path | str) -> Path:
        if source.name.endswith(".scored.parquet"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(source, target)

    with RerankServer() as server:
        assert run(tmp_path, server, refusing(*BAD)) == 0
        line = (
            f"error: {tmp_path}/out/scored/{FIRST} cannot be written: [Errno 28] No space left on device; "
            "what is done is kept, the same command continues"
        )
        with monkeypatch.context() as then:
            then.setattr(Path, "replace", full)
            for _ in range(2):  # in the exchange, and as the next start would finish it
                capsys.readouterr()
                assert run(tmp_path, server, answer, *RETRIED) == 1
                errors = capsys.readouterr().err
                assert line in errors.splitlines()
                assert "Traceback" not in errors
        assert not (tmp_path / "out" / SUCCESS).exists()
        assert run(tmp_path, server, answer, *RETRIED) == 0
        assert "0.12" not in server.documents, "it was scored before the disk was full"
    assert scored(tmp_path) == all_ranked(1, 2)
    assert (tmp_path / "out" / SUCCESS).exists()
