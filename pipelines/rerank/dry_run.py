"""What a job would do, from a sample: pairs, tokens, truncation, time and cost. Nothing is written."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipelines.rerank.plan_lines import cost_line, duration
from pipelines.rerank.request import ASKING_COSTS
from transforms.base.cost import cost_of, three_digits
from transforms.base.errors import UserError
from transforms.base.words import number_of
from transforms.handler import tasks_of
from transforms.input.inputs import InputFile, total_pairs
from transforms.input.plan import Unit, plan
from transforms.input.reader import read_shards
from transforms.output.commit import count_rejected
from transforms.rerank import Reading
from transforms.schema import Shard
from transforms.scoring.results import RankingTask, Scores, concatenate
from transforms.scoring.scorer import ScorerSpecification

SAMPLED_UNITS = 8
SECONDS_OF_SCORING = 10.0


class Wanted(NamedTuple):
    """What to plan for.

    Attributes:
        workers: machines.
        throughput: pairs a second of each; None for what this machine does on the sample.
        price_per_hour: of each, in any currency; None where no cost is asked for.
    """

    workers: int = 1
    throughput: float | None = None
    price_per_hour: float | None = None


@dataclass(frozen=True)
class Estimate:
    """Figures of a sample.

    Attributes:
        pairs: in the sample.
        tokens: of the sample's pairs, all that the model would read.
        truncated: pairs whose document or query would be cut.
        rejected: pairs that would get no score.
        seconds: that the sample took on this machine, tokenising and scoring.
        read: pairs of the input that the sample was taken from.
        unusable: reason -> number of those pairs that are rejected before any is scored.
    """

    pairs: int
    tokens: int
    truncated: int
    rejected: int
    seconds: float
    read: int
    unusable: Mapping[str, int]


def report(
    specification: ScorerSpecification,
    inputs: Sequence[InputFile],
    reading: Reading,
    wanted: Wanted,
) -> str:
    """The plan of a job, in lines for people.

    Raises:
        UserError: the model is asked over the network, where a sample would cost what scoring costs.
    """
    if specification.hosted:
        raise UserError(ASKING_COSTS)
    made = plan(inputs)
    # Scattered rows are not regrouped for an estimate.
    units = made.units if made.contiguous else beginnings(inputs)
    return describe(
        estimate(specification, units, reading),
        rows=sum(file.rows for file in inputs),
        pairs=total_pairs(inputs),
        units=len(units) if made.contiguous else None,
        wanted=wanted,
    )


def beginnings(inputs: Sequence[InputFile]) -> list[Unit]:
    """The beginning of each file, for a sample that needs no plan."""
    return [Unit(file, 0, 0, 0, min(file.rows, 1024)) for file in inputs if file.rows]


def sample_tasks(units: Sequence[Unit], reading: Reading) -> Iterator[RankingTask]:
    """The tasks of `sample_shards`, one of each shard in turn; nothing is read before the first is asked for."""
    yield from in_turn(sample_shards(units, reading))


def sample_shards(units: Sequence[Unit], reading: Reading) -> list[Shard]:
    """The first shard of some units that are spread evenly over the input."""
    places = sorted({int(place) for place in np.linspace(0, len(units) - 1, min(SAMPLED_UNITS, len(units)))})
    shards = (
        next(
            read_shards(
                units[place],
                keep_columns=reading.keep_columns,
                text_template=reading.text_template,
                shard_pairs=1024,
            ),
            None,  # of a row group without rows
        )
        for place in places
    )
    return [shard for shard in shards if shard is not None]


def in_turn(shards: Sequence[Shard]) -> Iterator[RankingTask]:
    """The tasks of shards, one of each in turn."""
    tasks = [tasks_of(shard)[0] for shard in shards]
    for turn in range(max(map(len, tasks), default=0)):
        yield from (of_shard[turn] for of_shard in tasks if turn < len(of_shard))


def estimate(specification: ScorerSpecification, units: Sequence[Unit], reading: Reading) -> Estimate:
    """Score sampled lists for some seconds."""
    shards = sample_shards(units, reading)
    turns = list(in_turn(shards))
    reranker = specification.load()
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
    counts = sum((Counter(count_rejected(shard.rejected)) for shard in shards), start=Counter())
    unusable = {name.removeprefix("rejected."): n for name, n in counts.items() if name.startswith("rejected.")}
    return Estimate(
        pairs=len(scores.score),
        tokens=scores.counts["forward_tokens"],
        truncated=int(np.any([column > 0 for column in cut], axis=0).sum()) if cut and len(scores.score) else 0,
        rejected=len(scores.failures),
        seconds=seconds,
        read=sum(shard.pairs.num_rows for shard in shards) + sum(unusable.values()),
        unusable=unusable,
    )


def describe(sample: Estimate, *, rows: int, pairs: int | None, units: int | None, wanted: Wanted) -> str:
    """What the sample says of the whole job.

    Args:
        sample: what was measured.
        rows: of the input.
        pairs: of the input; None where its footers do not say.
        units: row groups of the input, which can be read side by side; None where it is to be regrouped.
        wanted: what to plan for.
    """
    sizes = [number_of(rows, "row", "rows"), *([] if pairs is None else [number_of(pairs, "pair", "pairs")])]
    lines = [f"input     {', '.join(sizes)}"]
    if sample.unusable:
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in sorted(sample.unusable.items()))
        unusable = sum(sample.unusable.values())
        lines.append(f"rejected  {unusable:,} of the first {number_of(sample.read, 'pair', 'pairs')} read: {reasons}")
    if not sample.pairs:
        return "\n".join([*lines, "sample    empty: no pair can be scored"])
    tokens_a_pair, pairs_a_second = sample.tokens / sample.pairs, sample.pairs / sample.seconds
    truncated, tokens_a_second = sample.truncated / sample.pairs, sample.tokens / sample.seconds
    lines.append(
        f"sample    {number_of(sample.pairs, 'pair', 'pairs')}: {tokens_a_pair:,.1f} tokens a pair, "
        f"{truncated:.1%} of them truncated, "
        f"{sample.rejected:,} rejected"
    )
    lines.append(f"speed     {pairs_a_second:,.1f} pairs/s, {tokens_a_second:,.0f} tokens/s on this machine")
    if pairs is None:
        return "\n".join(lines)
    seconds = pairs / (wanted.throughput or pairs_a_second)
    machine = "on this machine" if wanted.throughput is None else f"at {wanted.throughput:,.1f} pairs/s"
    lines.append(f"job       {pairs * tokens_a_pair:,.0f} tokens, {duration(seconds)} {machine}")
    if wanted.workers > 1:
        busy = wanted.workers if units is None else min(wanted.workers, max(units, 1))
        few = "" if busy == wanted.workers else f", with work for {busy:,}, one for each row group of the input"
        lines.append(f"workers   {wanted.workers:,}{few}: {duration(seconds / busy)}")
    if wanted.price_per_hour is not None:
        lines.append(cost_line(three_digits(cost_of(seconds, wanted.price_per_hour)), wanted.price_per_hour, pairs))
    return "\n".join(lines)
