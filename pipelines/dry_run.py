"""What a job would do, from a sample: pairs, tokens, truncation, time and cost. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transforms.handler import tasks_of
from transforms.plan import Unit
from transforms.reader import read_shards
from transforms.rerank import Reading
from transforms.scoring.reranker import Reranker, Specification
from transforms.scoring.results import RankingTask, Scores, concatenate

SAMPLED_UNITS = 8
SECONDS_OF_SCORING = 10.0


@dataclass(frozen=True)
class Estimate:
    """Figures of a sample.

    Attributes:
        pairs: in the sample.
        tokens: of the sample's pairs, all that the model would read.
        truncated: pairs whose document or query would be cut.
        rejected: pairs that would get no score.
        seconds: that the sample took on this machine, tokenising and scoring.
    """

    pairs: int
    tokens: int
    truncated: int
    rejected: int
    seconds: float


def sample_tasks(units: Sequence[Unit], reading: Reading) -> list[list[RankingTask]]:
    """The tasks of the first shard of some units that are spread evenly over the input."""
    places = np.unique(np.linspace(0, len(units) - 1, min(SAMPLED_UNITS, len(units))).astype(int)) if units else []
    tasks = []
    for place in places:
        shards = read_shards(
            units[place],
            keep_columns=reading.keep_columns,
            text_template=reading.text_template,
            shard_pairs=1024,
        )
        tasks.append(list(tasks_of(next(shards))))
    return tasks


def estimate(specification: Specification, units: Sequence[Unit], reading: Reading) -> Estimate:
    """Score sampled lists for some seconds, taking one from each sampled place in turn."""
    places = sample_tasks(units, reading)
    turns = [place[turn] for turn in range(max(map(len, places), default=0)) for place in places if turn < len(place)]
    reranker = Reranker(specification)
    reranker.score("warm up", ["the first pass is slower"])
    parts: list[Scores] = []
    start = time.perf_counter()
    for first in range(0, len(turns), 4):
        parts.append(reranker.score_tasks(turns[first : first + 4]))
        if time.perf_counter() - start > SECONDS_OF_SCORING:
            break
    seconds = time.perf_counter() - start
    scores = concatenate(parts)
    cut = [column for column in (scores.truncated_tokens, scores.query_truncated_tokens) if column is not None]
    return Estimate(
        pairs=len(scores.score),
        tokens=scores.counts["forward_tokens"],
        truncated=int(np.any([column > 0 for column in cut], axis=0).sum()) if cut and len(scores.score) else 0,
        rejected=len(scores.failures),
        seconds=seconds,
    )


def describe(sample: Estimate, queries: int, pairs: int | None, price_per_hour: float | None) -> str:
    """The estimate for the whole job, in lines for people."""
    lines = [f"input     {queries:,} rows, {pairs:,} pairs" if pairs is not None else f"input     {queries:,} rows"]
    if not sample.pairs:
        return "\n".join([*lines, "sample    empty: no pair can be scored"])
    tokens_a_pair, pairs_a_second = sample.tokens / sample.pairs, sample.pairs / sample.seconds
    lines.append(
        f"sample    {sample.pairs:,} pairs: {tokens_a_pair:,.1f} tokens a pair, {sample.truncated / sample.pairs:.1%} of the "
        f"pairs truncated, {sample.rejected:,} rejected"
    )
    lines.append(f"speed     {pairs_a_second:,.1f} pairs/s, {sample.tokens / sample.seconds:,.0f} tokens/s on this machine")
    if pairs is not None:
        hours = pairs / pairs_a_second / 3600
        lines.append(f"job       {pairs * tokens_a_pair:,.0f} tokens, {duration(hours * 3600)} on one machine like this")
        if price_per_hour is not None:
            lines.append(f"cost      {hours * price_per_hour:,.2f} at {price_per_hour:,.2f} an hour")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds in the two largest units that fit: "2 h 05 min"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
