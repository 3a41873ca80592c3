"""What models have been measured to do on a GPU, and a job's plan from that, without input or weights.

cards.json is the table; docs/speed.md shows it, and `make docs` writes it there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pipelines.rerank.plan_lines import cost_line, duration
from pipelines.rerank.request import RerankRequest
from transforms.base.cost import cost_of, three_digits
from transforms.base.errors import UserError
from transforms.base.words import number_of

TABLE = Path(__file__).with_name("cards.json")


class Measurement(NamedTuple):
    """One measurement by `eval throughput`, of a model with random weights at its real sizes, its own tokenizer.

    Attributes:
        date: of the measurement, year-month-day.
        card: the GPU, as --gpu names it.
        commit: of this project.
        dtype: number format of the model.
        model: hub id or embedded model.
        work: what was scored, in words.
        tokens_per_pair: that the model reads, the mean.
        core: pairs a second of the scoring core.
        job: of the whole job on the same pairs; None where it was not measured.
        ceiling: of a core that did nothing but products and attention, at the speeds measured for them; None likewise.
        peer: of the fastest other way to score the same pairs; None likewise.
    """

    date: str
    card: str
    commit: str
    dtype: str
    model: str
    work: str
    tokens_per_pair: int
    core: float
    job: float | None
    ceiling: float | None
    peer: float | None


class Speed(NamedTuple):
    """What to expect of a card, in tokens a second.

    Attributes:
        low: of the whole job.
        high: of the core alone.
        rows: the measurements that it was taken from.
    """

    low: float
    high: float
    rows: Sequence[Measurement]


def measured() -> list[Measurement]:
    """The table."""
    return [Measurement(**row) for row in json.loads(TABLE.read_text(encoding="utf-8"))]


def speed_of(card: str, model: str, tokens_per_pair: float, table: Sequence[Measurement]) -> Speed:
    """The speed of a model on a card, from the measurements whose pairs are next in length.

    High is the fastest core. Low is the slowest, times the share of its core that a whole job reached: one of this
    model, or where its job was not measured any on the card.

    Raises:
        UserError: the table does not have the card, or not the model on it.
    """
    here = [row for row in table if row.card == card]
    if not here:
        raise UserError(
            f"--gpu {card}: nothing was measured on it; known: {', '.join(sorted({r.card for r in table}))}"
        )
    own = [row for row in here if row.model == model]
    if not own:
        known = ", ".join(dict.fromkeys(row.model for row in here))
        raise UserError(f"--model {model}: not measured on {card}; known there: {known}; --model_like takes one's size")
    lengths = {row.tokens_per_pair for row in own}
    shorter = max((size for size in lengths if size <= tokens_per_pair), default=min(lengths))
    longer = min((size for size in lengths if size >= tokens_per_pair), default=max(lengths))
    rows = [row for row in own if row.tokens_per_pair in (shorter, longer)]
    jobs = [row for row in rows if row.job is not None]
    share = min(row.job / row.core for row in jobs or here if row.job is not None)
    tokens = [row.core * row.tokens_per_pair for row in rows]
    return Speed(min(tokens) * share, max(tokens), rows)


def plan(request: RerankRequest, words: Sequence[str] = ()) -> str:
    """The plan of a job on a card, in lines for people.

    Args:
        request: of a dry run with gpu, pairs and tokens_per_pair.
        words: options of Beam's runners, of which there may be none.

    Raises:
        UserError: the table does not have the card, or not the model on it; or an option that has no effect here.
    """
    if words:
        raise UserError(f"{words[0]}: --gpu plans without a runner; leave it out")
    assert request.gpu is not None
    assert request.pairs is not None
    assert request.tokens_per_pair is not None
    model, card, each = request.model_like or request.model, request.gpu.lower(), request.tokens_per_pair
    speed = speed_of(card, model, each, measured())
    seconds = [request.pairs * each / tokens for tokens in (speed.high, speed.low)]
    workers = request.workers or 1
    lines = [
        f"plan      {number_of(round(request.pairs), 'pair', 'pairs')} of {each:,g} tokens with {model} on {card}",
        f"speed     {_range(speed.low / each, speed.high / each)} pairs/s, {_range(speed.low, speed.high)} tokens/s",
        f"time      {' to '.join(map(duration, seconds))} on one",
    ]
    if workers > 1:
        lines.append(f"workers   {workers:,}: {' to '.join(duration(each / workers) for each in seconds)}")
    if request.price_per_hour:
        costs = _range(*(cost_of(each, request.price_per_hour) for each in seconds))
        lines.append(cost_line(costs, request.price_per_hour, request.pairs))
    dates = sorted({(row.date, row.commit) for row in speed.rows})
    sizes = sorted({row.tokens_per_pair for row in speed.rows})
    lines.append(
        f"measured  {', '.join(f'{date} at commit {commit}' for date, commit in dates)}, "
        f"{' and '.join(sorted({row.dtype for row in speed.rows}))}, {' and '.join(map(str, sizes))} tokens a pair; "
        "from the whole job to scoring alone"
    )
    return "\n".join(lines)


def _range(low: float, high: float) -> str:
    return f"{three_digits(low)} to {three_digits(high)}"
