"""RerankLists in batch and in streaming, against the scores that the model gives to each list by itself."""

from __future__ import annotations

import doctest
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.prism_runner import PrismJobServer
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that
from apache_beam.transforms.window import FixedWindows, Sessions, TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from tests.support import tiny, tiny_listwise
from transforms import lists, rerank_lists
from transforms.base.errors import UserError
from transforms.lists import Candidate, RankingRequest, Rejected, problem, request_of, shard_of
from transforms.rerank_lists import RerankLists
from transforms.scoring import Reranker

ROOT = Path(__file__).resolve().parents[2]
PRISM = Path(PrismJobServer.BIN_CACHE)
TEXTS = ["b c", "d", "e f g", "h i", "j"]
RUN: dict[str, Any] = {"device": "cpu", "dtype": "float32"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def reranker(folder: Path) -> Reranker:
    return Reranker.load(str(folder), **RUN)


def request(number: int) -> RankingRequest:
    """A query with as many candidates as its number says."""
    return RankingRequest(f"q{number}", f"a {number}", [Candidate(f"d{i}", TEXTS[i]) for i in range(number)])


def expected(reranker: Reranker, numbers: Sequence[int], top_k: int | None = None) -> list[tuple[str, list[str]]]:
    """The documents of each list, best first."""
    ranked_lists = {number: reranker.rank(f"a {number}", TEXTS[:number], top_k=top_k) for number in numbers}
    return [(f"q{number}", [f"d{ranked.index}" for ranked in listed]) for number, listed in ranked_lists.items()]


def names(ranked: Any) -> tuple[str, list[str]]:
    return ranked.query_id, [document.doc_id for document in ranked.documents]


def equals(wanted: Sequence[Any]) -> Callable[[Sequence[Any]], None]:
    def check(results: Sequence[Any]) -> None:
        assert sorted(results, key=repr) == sorted(wanted, key=repr)

    return check


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> str:
    """A runner's name; skipped where its program, which Beam fetches, is not at hand."""
    if request.param == "PrismRunner" and not (shutil.which("prism") or any(PRISM.glob("apache_beam-*-prism-*"))):
        pytest.skip("Prism's program is not in Beam's cache, and tests fetch nothing")
    return str(request.param)


@pytest.mark.parametrize("runner", ["FnApiRunner", "PrismRunner"], indirect=True)
def test_lists_are_ranked_as_the_model_ranks_each(reranker: Reranker, folder: Path, runner: str) -> None:
    numbers = [3, 0, 5, 1, 4]
    wanted = expected(reranker, numbers, 2)
    with beam.Pipeline(runner, PipelineOptions([])) as pipeline:
        output = pipeline | beam.Create(map(request, numbers)) | RerankLists(str(folder), top_k=2, **RUN)
        assert_that(output.ranked | beam.Map(names), equals(wanted))
        assert_that(output.rejected, equals([]), "rejected")


def test_scores_and_ranks_are_those_of_the_model(reranker: Reranker, folder: Path) -> None:
    scores = reranker.score("a 5", TEXTS)

    def check(output: Sequence[Any]) -> None:
        [ranked] = output
        assert [document.rank for document in ranked.documents] == [1, 2, 3, 4, 5]
        assert [document.truncated_tokens for document in ranked.documents] == [0] * 5
        for document in ranked.documents:
            place = int(document.doc_id[1:])
            assert document.score == pytest.approx(scores[place], abs=1e-5)
            assert document.first_stage_rank == place + 1

    with beam.Pipeline("FnApiRunner") as pipeline:
        output = pipeline | beam.Create([request(5)]) | RerankLists(str(folder), **RUN)
        assert_that(output.ranked, check)


def test_what_cannot_be_scored_is_rejected_with_the_reason_of_the_job(reranker: Reranker, folder: Path) -> None:
    good = Candidate("d0", "b c")
    entries: list[Any] = [good, good._replace(doc_id="d1", text=None), None, good]  # type: ignore[arg-type]
    entries += [Candidate("", "x"), Candidate("d2", "\ud800")]
    odd: list[Any] = [
        RankingRequest("q1", "a", entries),
        RankingRequest(None, "a", [good]),  # type: ignore[arg-type]
        RankingRequest("q3", None, [good]),  # type: ignore[arg-type]
        RankingRequest("q4", "a", None),  # type: ignore[arg-type]
        RankingRequest("q5", "a", [good._replace(text=3)]),  # type: ignore[arg-type]
        RankingRequest("q6", "a", "d0"),  # type: ignore[arg-type]
        RankingRequest("q8", "a", [good._replace(rank=1.5)]),  # type: ignore[arg-type]
        RankingRequest("q9", "a", [good._replace(score=True)]),
        RankingRequest(7, "a", "d0"),  # type: ignore[arg-type]  # wrong on purpose, as those above
        {"query_id": "q7"},
    ]
    with beam.Pipeline("FnApiRunner") as pipeline:
        output = pipeline | beam.Create(odd) | RerankLists(str(folder), **RUN)
        assert_that(output.ranked | beam.Map(names), equals([("q1", ["d0"])]))
        wanted = [
            Rejected("q1", "d1", "null_text", None),
            Rejected("q1", None, "null_candidate", None),
            Rejected("q1", "d0", "duplicate_doc_id", None),
            Rejected("q1", "", "blank_doc_id", None),
            Rejected("q1", "d2", "invalid_utf8", "text"),
            Rejected(None, None, "null_query_id", None),
            Rejected("q3", None, "null_query", None),
            Rejected("q4", None, "null_candidates", None),
            Rejected("q5", None, "malformed", "candidates[0].text: an int; give a text"),
            Rejected("q6", None, "malformed", "candidates: a str; give a list"),
            Rejected("7", None, "malformed", "candidates: a str; give a list"),
            Rejected("q8", None, "malformed", "candidates[0].rank: 1.5; give a whole number"),
            Rejected("q9", None, "malformed", "candidates[0].score: True; give a number"),
            Rejected(None, None, "malformed", "is a dict; give a RankingRequest"),
        ]
        assert_that(output.rejected, equals(wanted), "rejected")


def test_an_instruction_that_the_model_does_not_take_is_its_requests_fault_alone(
    reranker: Reranker, folder: Path
) -> None:
    requests = [request(3), request(2)._replace(instruction="be kind"), request(4)._replace(instruction="")]
    with beam.Pipeline("FnApiRunner") as pipeline:
        output = pipeline | beam.Create(requests) | RerankLists(str(folder), **RUN)
        assert_that(output.ranked | beam.Map(names), equals(expected(reranker, [3, 4])))
        detail = "instruction: this model takes none; leave it out, or write it into the query"
        assert_that(output.rejected, equals([Rejected("q2", None, "malformed", detail)]), "rejected")


@pytest.mark.parametrize("windows", [FixedWindows(10), Sessions(4)])
def test_lists_of_a_stream_keep_their_windows_and_times(reranker: Reranker, folder: Path, windows: Any) -> None:
    times = {1: 1, 2: 3, 3: 12, 4: 14, 5: 25}
    stream = test_stream.TestStream()
    for number, time in times.items():
        stream = stream.advance_watermark_to(time - 1).add_elements([TimestampedValue(request(number), time)])
    stream = stream.add_elements([TimestampedValue(RankingRequest("bad", None, []), 26)])  # type: ignore[arg-type]
    stream = stream.advance_watermark_to_infinity()
    options = PipelineOptions([])
    options.view_as(StandardOptions).streaming = True

    def stamped(ranked: Any, time: Any = beam.DoFn.TimestampParam) -> tuple[str, list[str], Timestamp]:
        return *names(ranked), time

    with beam.Pipeline("BundleBasedDirectRunner", options) as pipeline:
        output = pipeline | stream | beam.WindowInto(windows) | RerankLists(str(folder), **RUN)
        wanted = [
            (*listed, Timestamp(times[number]))
            for number, listed in zip(times, expected(reranker, [*times]), strict=True)
        ]
        assert_that(output.ranked | beam.Map(stamped), equals(wanted))
        by_window = output.ranked | beam.Map(lambda ranked: ("all", ranked.query_id)) | beam.GroupByKey()
        grouped = by_window | beam.Map(lambda item: sorted(item[1]))
        assert_that(grouped, equals([["q1", "q2"], ["q3", "q4"], ["q5"]]), "windows")
        assert_that(output.rejected, equals([Rejected("bad", None, "null_query", None)]), "rejected")


def test_many_requests_are_scored_in_batches_of_bounded_size(
    reranker: Reranker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerank_lists, "BATCH_CHARACTERS", 10)
    gather = rerank_lists.Gather()
    gather.start_bundle()
    made = [value for number in (4, 1, 1, 5) for value in gather.process(request(number), Timestamp(number), "window")]
    made += gather.finish_bundle()
    assert [[origin.query_id for origin in made.value[0].origins] for made in made] == [["q4"], ["q1", "q1", "q5"]]
    assert [made.timestamp for made in made] == [4, 1]


def test_a_listwise_model_reads_the_order_that_is_asked_for(tmp_path: Path) -> None:
    model = tiny_listwise.checkpoint(tmp_path / "v3")
    reranker = Reranker.load(str(model), **RUN)
    forwards = dict(zip(TEXTS, reranker.score("a 5", TEXTS), strict=True))
    backwards = dict(zip(TEXTS[::-1], reranker.score("a 5", TEXTS[::-1]), strict=True))

    def check(output: Sequence[Any]) -> None:
        [ranked] = output
        scores = {TEXTS[int(document.doc_id[1:])]: document.score for document in ranked.documents}
        assert scores == pytest.approx(backwards, abs=1e-5)
        assert scores != pytest.approx(forwards, abs=1e-4)

    with beam.Pipeline("FnApiRunner") as pipeline:
        output = pipeline | beam.Create([request(5)]) | RerankLists(str(model), candidate_order="worst_first", **RUN)
        assert_that(output.ranked, check)


def test_a_mistake_shows_before_anything_runs(folder: Path) -> None:
    with pytest.raises(UserError, match="--candidate_order up: give given, best_first"):
        RerankLists(str(folder), candidate_order="up", **RUN)
    with pytest.raises(UserError, match="--group_size"):
        RerankLists(str(folder), group_size=4, **RUN)


def test_rows_of_a_table_become_requests() -> None:
    score = Decimal("0.5")  # of a column of decimals, as ReadFromParquet gives it
    row = {"query_id": 7, "query": "a", "candidates": [{"doc_id": "d", "text": "b", "score": score}, None]}
    assert request_of(row) == RankingRequest(7, "a", [Candidate("d", "b", None, 0.5, None), None])  # type: ignore[arg-type,list-item]


def test_a_decimal_is_a_score() -> None:
    decimal: Any = Decimal("0.5")  # as Beam reads a DECIMAL column, which no annotation knows
    given = RankingRequest("q", "a", [Candidate("d", "b", score=decimal), Candidate("e", "b", score=0.75)])
    assert problem(given) is None
    assert shard_of([given]).pairs["first_stage_score"].to_pylist() == [0.75, 0.5]  # the best first


def test_the_example_in_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [example] = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "lists.md").read_text(encoding="utf-8"), re.S | re.M
    )
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [sys.argv[0]])
    exec(compile(example, "lists.md", "exec"), {})
    best = dict(line.split() for line in Path("best.txt").read_text(encoding="utf-8").splitlines())
    rows = pq.read_table(ROOT / "tests" / "data" / "scifact_10x30.parquet").to_pylist()
    assert best.keys() == {row["query_id"] for row in rows}
    assert all(best[row["query_id"]] in {entry["doc_id"] for entry in row["candidates"]} for row in rows)
    assert Path("rejected.txt").read_bytes() == b""


def test_examples_in_docstrings_are_true() -> None:
    for module, attempted in ((lists, 2), (rerank_lists, 5)):
        results = doctest.testmod(module)
        assert (results.failed, results.attempted) == (0, attempted)
