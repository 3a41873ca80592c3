"""What holds whatever the input is, on inputs that hypothesis draws.

The same examples each time, 500 of each part and 50 whole jobs. RERANK_FUZZ_EXAMPLES gives another number, a tenth
of it for whole jobs, and draws others each time; see scripts/stress/fuzz.py.
"""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.rerank.job import missing_work, plan_units
from tests.support import fuzzed, oracle, tiny
from tests.support.fuzzed import File
from tests.support.job_run import parts, rerank, rows
from tests.support.shards import make_scores, make_shard
from transforms.handler import RerankerHandler
from transforms.input import repeats
from transforms.input.cleaning import clean
from transforms.input.columns import Columns, RowLayout
from transforms.input.inputs import inspect
from transforms.input.plan import plan
from transforms.input.rows import flat_batch, group, nested_rows
from transforms.job.record import in_job_order, new_job, open_job
from transforms.output import report
from transforms.output.commit import Stamp, rank, results
from transforms.output.parts import committed
from transforms.rerank import CommitShard, Reading, ReadShards
from transforms.scoring.packed.packing import ATTENDED, pack, plan_batches
from transforms.scoring.packed.sequences import NO_PREFIX, Prefix, TokenSequence, sequences_of
from transforms.scoring.reranker import Specification, specify
from transforms.scoring.results import RankingTask
from transforms.scoring.scorer import Scorer

ASKED = os.environ.get("RERANK_FUZZ_EXAMPLES")
EXAMPLES = int(ASKED or 500)
FUZZ = settings(
    max_examples=EXAMPLES,
    derandomize=ASKED is None,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# Where there is a filesystem in memory, thousands of flushes to a disk need not be waited for.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


# The planner


@pytest.fixture(params=[100_000, 1])
def ids_in_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So many; then one database for all examples, since making a file for each takes longer than all else."""
    with duckdb.connect(config={"threads": 1}) as connection:

        def database(memory: str) -> duckdb.DuckDBPyConnection:
            connection.execute("DROP TABLE IF EXISTS ids")
            return connection.cursor()

        monkeypatch.setattr(repeats, "_INSERT_IDS", request.param)
        monkeypatch.setattr(repeats, "temporary_database", database)
        yield


@FUZZ
@given(
    layout=st.sampled_from(fuzzed.LAYOUTS),
    ids=st.lists(st.lists(st.tuples(fuzzed.NAMES, st.integers(1, 3)), max_size=4), min_size=1, max_size=2),
    data=st.data(),
)
@pytest.mark.usefixtures("ids_in_memory")
def test_the_planner(layout: RowLayout, ids: list[list[tuple[Any, int]]], data: st.DataObject) -> None:
    """Units hold each row once, and whole queries; the rows of ids that were there before are found."""
    names = [[name for name, times in runs for _ in range(times)] for runs in ids]
    columns: dict[str, Any] = {"candidates": []}
    if layout == "flat":
        columns = {"doc_id": "d", "text": "t"}
    of_files = [
        File(
            layout,
            [{"query_id": name, "query": "q"} | columns for name in listed],
            {},
            data.draw(fuzzed.row_groups(len(listed))),
        )
        for listed in names
    ]
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        paths = [file.write(Path(folder, f"{i}.parquet")) for i, file in enumerate(of_files)]
        made = plan(inspect(paths))
        written = [pq.read_metadata(path) for path in paths]
        groups = [[footer.row_group(i).num_rows for i in range(footer.num_row_groups)] for footer in written]

    everyone = [oracle.usable(name) for listed in names for name in listed]
    starts = [
        [
            i == 0 or oracle.usable(name) is None or oracle.usable(name) != oracle.usable(listed[i - 1])
            for i, name in enumerate(listed)
        ]
        if layout == "flat"
        else [True] * len(listed)
        for listed in names
    ]
    heads = [name for name, start in zip(everyone, chain(*starts), strict=True) if start and name]
    assert made.contiguous == (layout == "nested" or len(set(heads)) == len(heads))
    if not made.contiguous:
        assert made.units == ()
        return
    place = 0
    units_of = {index: list(units) for index, units in groupby(made.units, key=lambda unit: unit.file.index)}
    for index, listed in enumerate(names):
        units = units_of.get(index, [])
        assert [row for unit in units for row in range(unit.start, unit.stop)] == list(range(len(listed)))
        assert all(starts[index][unit.start] for unit in units)
        firsts = np.cumsum([0, *groups[index]])
        assert [unit.row_group_start for unit in units] == [firsts[unit.row_group] for unit in units]
        assert all(firsts[unit.row_group] <= unit.start < firsts[unit.row_group + 1] for unit in units)
        again = [
            row
            for row in range(len(listed))
            if everyone[place + row] and everyone[place + row] in everyone[: place + row]
        ]
        assert [row for unit in units for row in unit.duplicates] == (again if layout == "nested" else [])
        place += len(listed)


# The validator


@FUZZ
@given(fuzzed.files())
def test_the_validator(drawn: list[File]) -> None:
    """What is scored, in which order and with which text, and what is rejected and why, is what docs/data.md says."""
    (file,) = drawn
    (batch,) = file.table().combine_chunks().to_batches()
    types = {field.name: field.type for field in batch.schema}
    if file.layout == "nested":
        listed = {field.name: field.type for field in types.pop("candidates").value_type}
        columns = Columns("nested", types, listed, prefix="candidates.list.element.")
        read = nested_rows(batch, columns, "in.parquet", 0)
        # Repeated queries are found by the planner.
        expected = [oracle.nested([row]) for row in file.rows]
    else:
        head = {name: types.pop(name) for name in ("query_id", "query", "instruction") if name in types}
        read = group(flat_batch(batch, Columns("flat", head, types), "in.parquet", 0))
        runs = groupby(enumerate(file.rows), key=lambda item: oracle.usable(item[1]["query_id"]) or item[0])
        expected = [oracle.flat(row for _, row in run) for _, run in runs]
    cleaned = clean(read)
    assert _pairs(cleaned.queries, cleaned.pairs) == [pair for pairs, _ in expected for pair in pairs]
    names = oracle.Rejection._fields
    assert [oracle.Rejection(*(row[name] for name in names)) for row in cleaned.rejected.to_pylist()] == [
        rejection for _, rejections in expected for rejection in rejections
    ]
    assert cleaned.sizes[:, 1:].tolist() == [[len(pairs), len(rejections)] for pairs, rejections in expected]


def _pairs(queries: pa.RecordBatch, pairs: pa.RecordBatch) -> list[oracle.Pair]:
    query = [row for row in queries.to_pylist() for _ in range(row["n_pairs"])]
    return [
        oracle.Pair(one["query_id"], pair["doc_id"], one["query"], pair["text"], pair["first_stage_rank"])
        for one, pair in zip(query, pairs.to_pylist(), strict=True)
    ]


# The packer


@st.composite
def sequences(draw: st.DrawFn) -> list[TokenSequence]:
    """Some with a common prefix, of two parts."""
    made: list[TokenSequence] = []
    for number in range(draw(st.integers(1, 4))):
        shared = draw(st.integers(0, 5))
        prefix = np.arange(shared, dtype=np.int32) + 100 * number
        for _ in range(draw(st.integers(1, 4))):
            own = np.arange(draw(st.integers(1, 6)), dtype=np.int32) + 1000 * (len(made) + 1)
            ids = np.concatenate([prefix, own])
            made.append(
                TokenSequence(
                    ids,
                    np.arange(shared + draw(st.integers(0, len(own) - 1)), len(ids), 2, dtype=np.int32),
                    draw(st.integers(shared, len(ids))),
                    Prefix(number, shared) if shared else NO_PREFIX,
                    part=number % 2,
                )
            )
    return made


@FUZZ
@given(sequences(), st.integers(1, 30))
def test_the_packer(given_sequences: list[TokenSequence], budget: int) -> None:
    """Each sequence is in one batch, of its part alone and within the budget, from which it can be read."""
    lengths = [len(sequence.ids) for sequence in given_sequences]
    whole = sequences_of(given_sequences)
    batches = plan_batches(whole.lengths, budget, whole.groups, whole.prefixes, whole.parts)
    assert sorted(chain.from_iterable(batch.tolist() for batch in batches)) == list(range(len(lengths)))
    for batch in batches:
        members = [given_sequences[index] for index in batch]
        prefixes = {member.prefix for member in members if member.prefix != NO_PREFIX}
        own = sum(len(member.ids) - member.prefix.tokens for member in members) + sum(p.tokens for p in prefixes)
        assert len(batch) == 1 or own <= budget
        assert len(batch) == 1 or sum(len(member.ids) for member in members) <= ATTENDED * budget
        packed = pack(whole.take(batch), torch.device("cpu"))
        assert {member.part for member in members} == {packed.part}
        assert len(packed.ids) == own
        sources = torch.arange(own) if packed.shared is None else packed.shared.sources
        offsets = packed.offsets.tolist()
        assert packed.lengths == tuple(len(member.ids) for member in members)
        assert [length for run in packed.runs for length in [run.length] * run.sequences] == list(packed.lengths)
        reads = iter(packed.reads.tolist())
        for member, start, end in zip(members, offsets[:-1], offsets[1:], strict=True):
            tokens = sources[start:end]
            assert packed.ids[tokens].tolist() == member.ids.tolist()
            assert packed.types[tokens].tolist() == [int(i >= member.second_segment) for i in range(end - start)]
            assert packed.places()[tokens].tolist() == list(range(end - start))
            assert [next(reads) for _ in member.reads] == tokens[member.reads].tolist()
        assert next(reads, None) is None


# The ranker


ANY_FLOAT = st.one_of(st.sampled_from([0.0, -0.0, 0.5, float("nan"), float("inf"), float("-inf")]), st.floats(width=32))
DOCUMENTS = st.one_of(st.sampled_from(["", "a", "b", "a\0", "é", "10", "9"]), fuzzed.CHARACTERS)


@FUZZ
@given(
    st.lists(st.lists(st.tuples(DOCUMENTS, ANY_FLOAT), max_size=6), max_size=3),
    st.one_of(st.none(), st.integers(1, 4)),
)
def test_the_ranker(drawn: list[list[tuple[str, float]]], top_k: int | None) -> None:
    """Each pair is scored or rejected, once; ranks count from 1 by score, then by document, both descending."""
    lists = [list(dict(pairs).items()) for pairs in drawn if pairs]
    shard = make_shard([(f"q{i}", [doc for doc, _ in pairs]) for i, pairs in enumerate(lists)])
    scores = make_scores(*(score for pairs in lists for _, score in pairs))
    scored, rejected = results(shard, scores, top_k)
    expected = [
        (f"q{i}", doc, place, score)
        for i, pairs in enumerate(lists)
        for place, (score, _, doc) in enumerate(
            sorted(((s, doc.encode(), doc) for doc, s in pairs if np.isfinite(s)), reverse=True), start=1
        )
        if top_k is None or place <= top_k
    ]
    assert [
        tuple(row.values()) for row in scored.select(["query_id", "doc_id", "rank", "score"]).to_pylist()
    ] == expected
    assert [(row["query_id"], row["doc_id"]) for row in rejected.to_pylist()] == [
        (f"q{i}", doc) for i, pairs in enumerate(lists) for doc, score in pairs if not np.isfinite(score)
    ]
    # The same whatever the order of the pairs.
    finite = [(i, doc, score) for i, pairs in enumerate(lists) for doc, score in pairs if np.isfinite(score)][::-1]
    query, docs, values = zip(*finite, strict=True) if finite else ((), (), ())
    order, ranks = rank(np.array(query, np.int64), np.array(values, np.float32), pa.array(docs, pa.string()))
    assert top_k or [(f"q{query[i]}", docs[i], ranked) for i, ranked in zip(order, ranks, strict=True)] == [
        row[:3] for row in expected
    ]


# The whole job


@cache
def model() -> tuple[Specification, RerankerHandler, Scorer]:
    """A tiny model in float32, loaded once."""
    specification = specify(str(tiny.bert(Path(tempfile.mkdtemp(prefix="rerank-fuzz-")))), dtype="float32")
    assert isinstance(specification, Specification)
    handler = RerankerHandler(specification)
    return specification, handler, handler.load_model()


@cache
def alone(query: str, text: str) -> float:
    """The score of a pair that is scored by itself."""
    _, _, scorer = model()
    return float(scorer.score_tasks([RankingTask(query, [text])]).score[0])


def do_job(paths: Sequence[str], output: str, shard_pairs: int) -> Counter[str]:
    """The steps of the main job one after the other, without a runner; returns its counts."""
    specification, handler, scorer = model()
    inputs = inspect(paths)
    wanted = new_job(inputs, kind="reranking", model=specification.fingerprint(), options={}, execution={}, command={})
    with open_job(output, wanted) as current:
        units = plan_units(output, in_job_order(current, inputs), ())
        commit = CommitShard(output, None, Stamp(current.fingerprint))
        read = ReadShards(Reading(shard_pairs=shard_pairs), None)
        read.start_bundle()
        commit.setup()
        commit.start_bundle()
        for work in missing_work(units, committed(output, current.fingerprint)):
            for batch in read.process(work):
                for scored in handler.run_inference(batch, scorer):
                    list(commit.process(scored))
        made = committed(output, current.fingerprint)
        assert missing_work(units, made) == []
        return report.total(made)


def expected_of(drawn: Sequence[File]) -> oracle.Outcome:
    of_layout = {"nested": oracle.nested, "flat": oracle.flat}[drawn[0].layout]
    return of_layout(row for file in drawn for row in file.rows)


def check(output: Path, drawn: Sequence[File]) -> int:
    """Every pair of the input is scored or rejected, once, and as it should be; returns how many there are."""
    pairs, rejections = expected_of(drawn)
    scored, rejected = rows(output), rows(output, "rejected")
    names = oracle.Rejection._fields
    assert Counter(tuple(row[name] for name in names) for row in rejected) == Counter(rejections)
    expected = {(pair.query_id, pair.doc_id): pair for pair in pairs}
    assert len(expected) == len(pairs)
    assert sorted((row["query_id"], row["doc_id"]) for row in scored) == sorted(expected)
    for row in scored:
        pair = expected[row["query_id"], row["doc_id"]]
        assert row["first_stage_rank"] == pair.first_stage_rank
        assert row["score"] == pytest.approx(alone(pair.query, pair.text), abs=1e-5)
    lists = [list(listed) for _, listed in groupby(scored, key=lambda row: row["query_id"])]
    assert len(lists) == len({row["query_id"] for row in scored})
    for listed in lists:
        assert [row["rank"] for row in listed] == list(range(1, len(listed) + 1))
        keys = [(row["score"], row["doc_id"].encode()) for row in listed]
        assert keys == sorted(keys, reverse=True)
    return len(pairs) + sum(1 if rejection.n_candidates is None else rejection.n_candidates for rejection in rejections)


@settings(FUZZ, max_examples=1 + EXAMPLES // 10)
@given(fuzzed.files(most=3, instructions=False), st.integers(1, 12), st.randoms(use_true_random=False))
def test_whole_jobs(drawn: list[File], shard_pairs: int, chance: random.Random) -> None:
    """The invariants, and the same bytes from a job that lost some of its parts and did them again."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        paths = [file.write(Path(folder, f"{i}.parquet")) for i, file in enumerate(drawn)]
        output = Path(folder, "out")
        counts = do_job(paths, str(output), shard_pairs)
        assert counts["pairs"] == check(output, drawn)
        made = parts(output)
        for path in output.glob("*/part-*.parquet"):
            if chance.random() < 0.3:
                path.unlink()
            elif chance.random() < 0.3 and path.parent.name == "scored":
                path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size)])
        assert do_job(paths, str(output), shard_pairs) == counts
        assert parts(output) == made


@settings(FUZZ, max_examples=1 + EXAMPLES // 100)
@given(fuzzed.files(most=20, instructions=False), st.integers(1, 12))
def test_whole_jobs_on_a_runner(drawn: list[File], shard_pairs: int) -> None:
    """The command line, with as many cases as there are files."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        paths = [Path(file.write(Path(folder, f"{i:02}.parquet"))) for i, file in enumerate(drawn)]
        output = Path(folder, "out")
        specification, _, _ = model()
        assert rerank(paths, output, specification.checkpoint.directory, "--shard_pairs", str(shard_pairs)) == 0
        check(output, drawn)
