"""RerankLists in a stream for some time: each list once, with its own scores, in its window, and how soon.

    python scripts/stress/stream_load.py --minutes 10

Beam's PeriodicImpulse makes a request now and then, with its time; every twentieth has a candidate without a text.
What comes out is compared with the scores that the model gives to each pair, which are the same in every bit whatever
is scored with it. Exit code 1 where a list is lost, doubled, has another's documents or scores, or another window or
time. The last line is for the docs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.transforms.window import FixedWindows

from transforms.lists import Candidate, RankedList, RankingRequest, Rejected
from transforms.rerank_lists import RerankLists
from transforms.scoring import RankingTask, Reranker

REPOSITORY = Path(__file__).resolve().parents[2]
LISTS = REPOSITORY / "demo" / "dbpedia_entity_40x50.parquet"
DOCUMENTS = 10  # of each query of the file
ODD = 20  # each so many requests one has a candidate without a text
WINDOW = 10  # seconds
BROKEN = "broken"  # the id of that candidate
RUNNERS = ("FnApiRunner", "PrismRunner", "BundleBasedDirectRunner")


@dataclass(frozen=True)
class Requests:
    """Makes requests by number: query n of the file, with the next 1 to 10 of its candidates."""

    rows: list[Any]

    def documents(self, number: int) -> list[Any]:
        """Candidates of that request, in its order."""
        listed = self.rows[number % len(self.rows)]["candidates"][:DOCUMENTS]
        turn, size = number % DOCUMENTS, 1 + number // len(self.rows) % DOCUMENTS
        return [*listed[turn:], *listed[:turn]][:size]

    def request(self, number: int) -> RankingRequest:
        """The request of that number, which is its id."""
        candidates = [Candidate(entry["doc_id"], entry["text"]) for entry in self.documents(number)]
        if number % ODD == 0:
            candidates.append(Candidate(BROKEN, None))  # type: ignore[arg-type]
        return RankingRequest(str(number), self.rows[number % len(self.rows)]["query"], candidates)


class Note(beam.DoFn):
    """Writes what comes, and when, as a line of JSON."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def process(
        self, output: RankedList | Rejected, at: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> None:
        documents = (
            {one.doc_id: one.score for one in output.documents} if isinstance(output, RankedList) else output.doc_id
        )
        line = {
            "query_id": output.query_id,
            "found": documents,
            "at": at.micros / 1e6,
            "window": window.start.micros / 1e6,
            "now": time.time(),
        }
        with self._path.open("a", encoding="utf-8") as stream:  # one write, of less than a page
            stream.write(json.dumps(line) + "\n")


def pair_scores(rows: Iterable[Any], model: str) -> list[dict[str, float]]:
    """The model's score of each candidate of each query, by id."""
    tasks = [RankingTask(row["query"], [entry["text"] for entry in row["candidates"][:DOCUMENTS]]) for row in rows]
    scores = Reranker.load(model).score_lists(tasks)
    return [
        {entry["doc_id"]: score for entry, score in zip(row["candidates"], listed, strict=False)}
        for row, listed in zip(rows, scores, strict=True)
    ]


def faults(
    line: Mapping[str, Any], requests: Requests, scores: list[dict[str, float]], times: list[float]
) -> list[str]:
    """What is wrong with a line that `Note` wrote."""
    number = int(line["query_id"])
    known = scores[number % len(scores)]
    wanted = {entry["doc_id"]: known[entry["doc_id"]] for entry in requests.documents(number)}
    at = times[number]
    return [
        *(["content"] if line["found"] not in (wanted, BROKEN) else []),
        *(["time"] if abs(line["at"] - at) > 1e-3 else []),
        *(["window"] if line["window"] != at // WINDOW * WINDOW else []),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small-cross-encoder")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--lists_per_second", type=float, default=4.0)
    parser.add_argument("--runner", choices=RUNNERS, default=RUNNERS[0])
    options = parser.parse_args()
    rows = pq.read_table(LISTS, columns=["query", "candidates"]).to_pylist()
    requests, scores = Requests(rows), pair_scores(rows, options.model)
    interval, begin = 1 / options.lists_per_second, float(int(time.time()) + 5)
    times = [begin + number * interval for number in range(int(options.minutes * 60 / interval))]
    words = PipelineOptions([])
    words.view_as(StandardOptions).streaming = options.runner != RUNNERS[0]
    with tempfile.TemporaryDirectory() as folder:
        ranked, rejected = Path(folder, "ranked"), Path(folder, "rejected")
        for path in (ranked, rejected):
            path.touch()
        with beam.Pipeline(options.runner, words) as pipeline:
            written = (
                pipeline
                | PeriodicImpulse(begin, begin + len(times) * interval, interval)
                | beam.Map(lambda at: requests.request(round((float(at) - begin) / interval)))
                | beam.WindowInto(FixedWindows(WINDOW))
                | RerankLists(options.model)
            )
            _ = written.ranked | "Note ranked" >> beam.ParDo(Note(ranked))
            _ = written.rejected | "Note rejected" >> beam.ParDo(Note(rejected))
        passed = time.time() - begin
        lines, odd = ([json.loads(line) for line in path.open(encoding="utf-8")] for path in (ranked, rejected))
    expected = Counter(map(str, range(len(times))))
    seen, seen_odd = (Counter(line["query_id"] for line in each) for each in (lines, odd))
    expected_odd = Counter(map(str, range(0, len(times), ODD)))
    lost = (expected - seen).total() + (expected_odd - seen_odd).total()
    doubled = (seen - expected).total() + (seen_odd - expected_odd).total()
    wrong = Counter(fault for line in [*lines, *odd] for fault in faults(line, requests, scores, times))
    pairs = sum(len(line["found"]) for line in lines)
    middle, slow = np.percentile([line["now"] - line["at"] for line in lines] or [np.nan], [50, 99])
    print(
        f"{options.runner}, {passed:.0f} s: {len(lines):,} lists, {pairs:,} pairs, {len(odd):,} candidates rejected; "
        f"{lost} lost, {doubled} doubled, {wrong.total()} wrong{f' {dict(wrong)}' * bool(wrong)}; "
        f"given out after {middle:.2f} s (p50), {slow:.2f} s (p99)"
    )
    return int(bool(lost or doubled or wrong))


if __name__ == "__main__":
    sys.exit(main())
