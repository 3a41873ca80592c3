from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.shards import NAME, NAN, make_scores, make_shard
from transforms.base import files
from transforms.base.errors import UnavailableError, UserError
from transforms.output.commit import Stamp, commit
from transforms.output.parts import Part, committed, complete_row_groups, read_scored
from transforms.schema import SCORED, Shard
from transforms.scoring.results import Scores

# Part files


def names(output: str | Path) -> list[str]:
    return [f"{folder}/{name}" for folder in ("rejected", "scored") for name in files.list_names(f"{output}/{folder}")]


def contents(output: Path) -> dict[str, bytes]:
    return {name: (output / name).read_bytes() for name in names(output)}


def test_commit_writes_both_parts_and_its_counts(output: str) -> None:
    counts = commit(output, make_shard([("q", ["a", "b"])], last=False), make_scores(1.0, NAN))
    assert names(output) == [f"rejected/{NAME}.parquet", f"scored/{NAME}.parquet"]
    assert counts["scored"] == 1
    assert committed(output) == {NAME: Part(counts, last=False)}
    (scored,) = read_scored(output)
    assert scored.schema.names == SCORED.names
    assert scored["doc_id"].to_pylist() == ["a"]
    with files.open_input(f"{output}/rejected/{NAME}.parquet") as stream:
        assert pq.read_table(stream)["reason"].to_pylist() == ["nan_score"]


def test_record_is_json_in_the_footer(tmp_path: Path) -> None:
    counts = commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(1.0), stamp=Stamp("f1"))
    metadata = pq.read_metadata(tmp_path / f"scored/{NAME}.parquet").metadata
    record = json.loads(metadata[b"rerank"])
    assert len(record.pop("digest")) == 64
    assert record == {"counts": dict(counts), "job": "f1", "last": True, "part": NAME}
    commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(1.0), stamp=Stamp("f1", 1))
    metadata = pq.read_metadata(tmp_path / f"scored/{NAME}.parquet").metadata
    assert json.loads(metadata[b"rerank"]) == {"counts": dict(counts), "job": "f1", "last": True}


def test_shard_without_pairs_is_committed_by_an_empty_part(output: str) -> None:
    commit(output, make_shard([]), make_scores())
    assert names(output) == [f"scored/{NAME}.parquet"]
    assert [table.num_rows for table in read_scored(output)] == [0]
    assert list(committed(output)) == [NAME]


def test_rejected_part_of_an_earlier_attempt_is_removed(output: str) -> None:
    shard = make_shard([("q", ["a"])])
    commit(output, shard, make_scores(NAN))
    commit(output, shard, make_scores(1.0))
    assert names(output) == [f"scored/{NAME}.parquet"]


def test_bytes_do_not_depend_on_how_the_input_was_chunked(tmp_path: Path) -> None:
    # More than a megabyte of ids, so that Parquet leaves its dictionary in the middle of a column.
    docs = [f"{i:0400}" for i in range(5000)]
    rejected = [{"doc_id": doc, "reason": "duplicate_doc_id"} for doc in docs]
    whole, chunked = (make_shard([("q", docs)], rejected=rejected, kept=True) for _ in range(2))
    for name in ("pairs", "rejected"):
        table = getattr(chunked, name)
        object.__setattr__(chunked, name, pa.concat_tables([table.slice(i, 777) for i in range(0, 5000, 777)]))
    scores = make_scores(NAN, *range(4999))
    commit(str(tmp_path / "whole"), whole, scores)
    commit(str(tmp_path / "elsewhere" / "chunked"), chunked, scores)
    assert contents(tmp_path / "whole") == contents(tmp_path / "elsewhere" / "chunked")


# Killed at each point of the commit


POINTS: dict[str, tuple[str, str, str]] = {
    "before the rejected part": ("write_temporary", "rejected", "before"),
    "half of the rejected temporary": ("write_temporary", "rejected", "half"),
    "rejected temporary not renamed": ("rename", "rejected", "before"),
    "rejected part without its scored part": ("rename", "rejected", "after"),
    "half of the scored temporary": ("write_temporary", "scored", "half"),
    "scored temporary not renamed": ("rename", "scored", "before"),
    "both parts there": ("rename", "scored", "after"),
}


def kill_at(step: str, folder: str, when: str) -> None:
    """Lets SIGKILL end this process before, half-way through or after one step of writing a part into `folder`."""
    original: Callable[..., None] = getattr(files, step)

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def deadly(path: str, argument: Any, **how: bool) -> None:
        if f"/{folder}/" not in path or when == "before":
            return die() if f"/{folder}/" in path else original(path, argument, **how)

        def write_half(stream: BinaryIO) -> None:
            argument(stream)
            stream.flush()
            stream.truncate(stream.tell() // 2)
            die()

        original(path, write_half if when == "half" else argument, **how)
        return die()

    setattr(files, step, deadly)


def two_shards() -> list[tuple[Shard, Scores]]:
    first = make_shard([("q1", ["a", "b", "c"])], name="part-00000-00000-00000", last=False)
    second = make_shard([("q2", ["d", "e"])], name="part-00000-00000-00001")
    return [(first, make_scores(1.0, 3.0, 2.0)), (second, make_scores(NAN, 0.5))]


def run_job(output: str) -> None:
    """What the same command does each time: what is missing, and nothing else."""
    for folder in ("scored", "rejected"):
        files.sweep(files.join(output, folder))
    done = committed(output)
    for shard, scores in two_shards():
        if shard.name not in done:
            commit(output, shard, scores)


def run_job_until_killed(output: str, point: str) -> None:
    kill_at(*POINTS[point])
    run_job(output)


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_run_again_gives_the_bytes_of_an_undisturbed_run(point: str, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    run_job(str(undisturbed))

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=run_job_until_killed, args=(str(killed), point))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    # The first shard has nothing to reject, so every point but those of its scored part leaves it committed.
    in_first = POINTS[point][1] == "scored"
    assert list(committed(str(killed))) == (
        [] if in_first and point != "both parts there" else ["part-00000-00000-00000"]
    )

    run_job(str(killed))
    assert contents(killed) == contents(undisturbed)
    rows = [(row["query_id"], row["doc_id"]) for table in read_scored(str(killed)) for row in table.to_pylist()]
    assert rows == [("q1", "b"), ("q1", "c"), ("q1", "a"), ("q2", "e")]


# What is there already


def test_rejected_part_without_its_scored_part_is_not_committed(tmp_path: Path) -> None:
    commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(NAN))
    (tmp_path / f"scored/{NAME}.parquet").unlink()
    assert committed(str(tmp_path)) == {}
    assert list(read_scored(str(tmp_path))) == []


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_truncated_part_counts_as_not_written(keep: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(1.0))
    path = tmp_path / f"scored/{NAME}.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert committed(str(tmp_path)) == {}
    assert f"{path} is damaged (" in caplog.text
    assert "it counts as not written" in caplog.text
    commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(1.0))
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    ("before", "after"), [(b'{"counts"', b'["counts"'), (b'"scored": 1', b'"scored": 3'), (b"f1", b"f0")]
)
def test_a_part_whose_own_record_is_damaged_counts_as_not_written(
    before: bytes, after: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The record stands in the footer; one bit makes a bracket of its brace, or another count, or another job."""
    commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(1.0), stamp=Stamp("f1"))
    path = tmp_path / f"scored/{NAME}.parquet"
    content = path.read_bytes()
    place = content.rindex(before)
    path.write_bytes(content[:place] + after + content[place + len(before) :])
    assert committed(str(tmp_path), "f1") == {}
    assert f"{path} is damaged (" in caplog.text


@pytest.mark.parametrize("name", ["part-00000.parquet", "mine.parquet", f"{NAME}.parquet"])
def test_another_programs_parquet_among_the_parts_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "scored").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "scored" / name)
    with pytest.raises(UserError, match=rf"^{tmp_path}/scored/{name} was not written by this job: move it out"):
        committed(str(tmp_path))


def test_a_part_of_another_job_is_named_and_stays(tmp_path: Path) -> None:
    commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(1.0), stamp=Stamp("f1"))
    assert list(committed(str(tmp_path), "f1")) == [NAME]
    with pytest.raises(UserError, match=rf"^{tmp_path}/scored/{NAME}.parquet was not written by this job: move it out"):
        committed(str(tmp_path), "f2")
    assert list(committed(str(tmp_path), "f1")) == [NAME]


def test_temporaries_and_other_files_among_the_parts_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "scored").mkdir()
    for name in (f".{NAME}.parquet.0f.tmp", "_metadata.parquet", "notes.txt", ".DS_Store"):
        (tmp_path / "scored" / name).touch()
    assert committed(str(tmp_path)) == {}


def test_a_part_that_may_not_be_read_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    commit(str(tmp_path), make_shard([("q", ["a"])]), make_scores(1.0))
    part = tmp_path / "scored" / f"{NAME}.parquet"
    part.unlink()
    os.mkfifo(part)
    with pytest.raises(UnavailableError) as error:
        committed(str(tmp_path))
    assert str(error.value) == (
        f"{part} cannot be read: [Errno 22] not a regular file: '{part}'; it is kept, the same command continues"
    )


def test_output_that_is_not_there_has_nothing_committed(output: str) -> None:
    assert committed(output) == {}


def test_parts_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    order = ["part-00002-00000-00000", "part-00002-00000-00001", "part-99999-00000-00000", "part-100000-00000-00000"]
    for name in reversed(order):
        commit(str(tmp_path), make_shard([(name, ["a"])], name=name), make_scores(1.0))
    assert list(committed(str(tmp_path))) == order
    tables = read_scored(str(tmp_path), columns=["query_id"])
    assert [table.to_pydict() for table in tables] == [{"query_id": [name]} for name in order]


def test_complete_row_groups() -> None:
    def part(last: bool) -> Part:
        return Part(Counter(), last)

    parts = {
        "part-00000-00000-00000": part(True),  # one slice, the last
        "part-00000-00001-00000": part(False),  # the last of three, and the middle, are missing
        "part-00000-00002-00000": part(False),  # all three
        "part-00000-00002-00001": part(False),
        "part-00000-00002-00002": part(True),
        "part-00001-00000-00000": part(False),  # the middle one is missing
        "part-00001-00000-00002": part(True),
    }
    assert complete_row_groups(parts) == {(0, 0), (0, 2)}


def test_part_files_hold_no_path_of_the_output_and_no_temporary(tmp_path: Path) -> None:
    commit(str(tmp_path), make_shard([("q", ["a", "b"])]), make_scores(1.0, NAN))
    assert names(tmp_path) == [f"rejected/{NAME}.parquet", f"scored/{NAME}.parquet"]
    assert all(str(tmp_path).encode() not in data for data in contents(tmp_path).values())
