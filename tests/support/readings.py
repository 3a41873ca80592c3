"""The prompts of causal families, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from transformers import PreTrainedTokenizerBase

from transforms.scoring import RankingTask
from transforms.scoring.families.causal import Read
from transforms.scoring.families.tokenise import Tokens
from transforms.scoring.packed.ragged import Ids


class PromptReading(NamedTuple):
    """One pair as the model reads it."""

    ids: Ids
    truncated: int
    query_truncated: int
    prefix: int


def readings_of(read: Read, tasks: Sequence[RankingTask], tokenizer: PreTrainedTokenizerBase) -> list[PromptReading]:
    """Of all pairs of the tasks, none of which may fail."""
    readings = read(tasks, Tokens(tokenizer))
    assert not readings.pairs.failures
    counts = [column.tolist() for column in (readings.truncated, readings.query_truncated, readings.prefixes)]
    return [PromptReading(readings.ids[row], *numbers) for row, numbers in enumerate(zip(*counts, strict=True))]
