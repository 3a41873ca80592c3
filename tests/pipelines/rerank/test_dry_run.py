from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.rerank import __main__ as rerank
from pipelines.rerank.dry_run import Estimate, Wanted, beginnings, describe, report, sample_tasks
from pipelines.rerank.plan_lines import duration
from tests.support.input_files import flat_table, nested_table, write
from transforms.base.errors import UserError
from transforms.input.inputs import inspect
from transforms.rerank import Reading
from transforms.scoring.reranker import specify

# 100 pairs/s and 5,000 tokens/s
SAMPLE = Estimate(pairs=1_000, tokens=50_000, truncated=25, rejected=1, seconds=10.0, read=1_000, unusable={})


def lines_of(wanted: Wanted, pairs: int | None = 3_600_000, units: int = 100) -> list[str]:
    return describe(SAMPLE, rows=36_000, pairs=pairs, units=units, wanted=wanted).splitlines()


def test_this_machine() -> None:
    assert lines_of(Wanted()) == [
        "input     36,000 rows, 3,600,000 pairs",
        "sample    1,000 pairs: 50.0 tokens a pair, 2.5% of them truncated, 1 rejected",
        "speed     100.0 pairs/s, 5,000 tokens/s on this machine",
        "job       180,000,000 tokens, 10 h 00 min on this machine",
    ]


def test_a_single_row_and_pair_are_singular() -> None:
    one = replace(SAMPLE, pairs=1, tokens=50, truncated=0, read=1, unusable={"null_text": 1})
    assert describe(one, rows=1, pairs=1, units=1, wanted=Wanted()).splitlines()[:3] == [
        "input     1 row, 1 pair",
        "rejected  1 of the first 1 pair read: null_text 1",
        "sample    1 pair: 50.0 tokens a pair, 0.0% of them truncated, 1 rejected",
    ]


def test_workers_and_what_they_cost_beside_a_hosted_api() -> None:
    assert lines_of(Wanted(workers=8, throughput=500.0, price_per_hour=1.5))[3:] == [
        "job       180,000,000 tokens, 2 h 00 min at 500.0 pairs/s",
        "workers   8: 15 min 00 s",
        "cost      3.00 in the currency of --price_per_hour 1.5; a hosted API at $0.008 for 1,000 documents: $28.8",
    ]


def test_more_workers_than_parts_of_the_input() -> None:
    assert lines_of(Wanted(workers=8), units=4)[4:] == [
        "workers   8, with work for 4, one for each row group of the input: 2 h 30 min"
    ]


def test_scattered_input_is_regrouped_for_all_workers(tmp_path: Path) -> None:
    texts = [{"query_id": f"q{row % 2}", "query": "a", "doc_id": str(row), "text": "b"} for row in range(6)]
    path = write(tmp_path / "in.parquet", flat_table(texts))
    planned = report(specify("small-cross-encoder"), inspect([path]), Reading(), Wanted(workers=2))
    assert re.search(r"^workers   2: ", planned, re.MULTILINE)


def test_a_row_group_without_rows_gives_no_sample(tmp_path: Path) -> None:
    table = nested_table([{"query_id": "q", "query": "a", "candidates": [{"doc_id": "d", "text": "b"}]}])
    with pq.ParquetWriter(tmp_path / "in.parquet", table.schema) as writer:
        writer.write_batch(pa.RecordBatch.from_pylist([], table.schema))
        writer.write_table(table)
    units = beginnings(inspect([str(tmp_path / "in.parquet")]))
    assert len(units) == 1
    assert list(sample_tasks(units, Reading())) == []


def test_no_file_is_read_before_a_sample_of_it_is_asked_for(tmp_path: Path) -> None:
    table = flat_table([{"query_id": "q", "query": "a", "doc_id": "d", "text": "b"}])
    units = beginnings(inspect([write(tmp_path / "in.parquet", table)]))
    (tmp_path / "in.parquet").unlink()
    tasks = sample_tasks(units, Reading())
    with pytest.raises(UserError, match=r"in\.parquet"):
        next(tasks)


def test_pairs_that_are_rejected_before_they_are_scored_are_reported(tmp_path: Path) -> None:
    texts = [{"query_id": "q", "query": "a", "doc_id": str(row), "text": "b" if row else None} for row in range(3)]
    texts.append({"query_id": "q", "query": "a", "doc_id": "2", "text": "b"})
    path = write(tmp_path / "in.parquet", flat_table(texts))
    planned = report(specify("small-cross-encoder"), inspect([path]), Reading(), Wanted())
    assert "rejected  2 of the first 4 pairs read: duplicate_doc_id 1, null_text 1" in planned.splitlines()


def test_input_whose_footers_do_not_tell_its_pairs() -> None:
    assert lines_of(Wanted(workers=8, price_per_hour=2.0), pairs=None) == [
        "input     36,000 rows",
        *lines_of(Wanted())[1:3],
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59.4, "59 s"), (61, "1 min 01 s"), (359_940, "99 h 59 min"), (360_000, "4.2 days"), (1e9, "11,574.1 days")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize("option", ["--workers=2", "--throughput=10", "--gpu=h200"])
def test_plans_are_for_dry_runs(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--input={tmp_path}", f"--output={tmp_path / 'out'}", "--model=small-cross-encoder", option]
    assert rerank.main(words) == 2
    assert capsys.readouterr().err == f"error: {option.partition('=')[0]}: it is for --dry_run alone; leave it out\n"


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", "fast"])
def test_throughput_is_a_speed(value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"--input={tmp_path}", f"--output={tmp_path / 'out'}", "--model=small-cross-encoder", "--dry_run"]
    assert rerank.main([*words, f"--throughput={value}"]) == 2
    assert f"--throughput: {value!r} is not a positive number of pairs a second" in capsys.readouterr().err
