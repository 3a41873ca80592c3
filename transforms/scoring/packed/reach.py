"""Which tokens of its sequence a token sees, and what computes attention by that."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import NamedTuple

import torch

from transforms.scoring.packed.packing import Packed


class Reach(NamedTuple):
    """How many tokens before and after its own place a token sees in its sequence; None for all."""

    before: int | None = None
    after: int | None = None

    def within(self, length: int) -> Reach:
        """The same for sequences of at most so many tokens, without the bounds that change nothing there."""
        before, after = (None if bound is None or bound >= length - 1 else bound for bound in self)
        return Reach(before, 0 if self.after == 0 else after)

    @property
    def longest_within(self) -> float:
        """Tokens of the longest sequence in which the bounds change nothing."""
        before, after = (inf if bound is None else bound for bound in self)
        return 1 + (before if after == 0 else min(before, after))


EVERYTHING, EARLIER = Reach(), Reach(after=0)

# Query, key and value of shapes [E, heads, head size] and, where heads are shared, [E, key-value heads, head size];
# where the sequences lie; what a token sees; the factor on the products, None for 1 / sqrt(head size). Gives shape
# [E, heads, head size].
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Packed, Reach, float | None], torch.Tensor]
