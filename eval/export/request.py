"""What an export is asked for; nothing here takes long to import."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from transforms.base.request import Check, Request


@dataclass(frozen=True)
class Mining:
    """How negatives are chosen; scores as they are exported.

    Attributes:
        num_negatives: of each query, at most.
        absolute_margin: how far below the positive's score a negative's must be at least; None for no such rule.
        relative_margin: the same as a share of the positive score's magnitude. Of several positives the lowest counts.
        max_score: highest score of a negative.
        min_score: lowest score of a negative.
        range_min: how many of the best negatives that are left by the other rules are skipped.
        range_max: how many of a list's best documents are inspected, besides its positives; None for all.
        sampling: "top" takes the best ones, "random" any.
        seed: of the random choice.
    """

    num_negatives: int = 3
    absolute_margin: float | None = None
    relative_margin: float | None = None
    max_score: float | None = None
    min_score: float | None = None
    range_min: int = 0
    range_max: int | None = None
    sampling: Literal["top", "random"] = "top"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ExportRequest(Request):
    """What to export, in which form, and how negatives are chosen."""

    output: str
    to: str
    format: str
    overwrite: bool
    keep_id_types: bool
    qrels: str | None
    score_transform: str
    num_negatives: int
    absolute_margin: float | None
    relative_margin: float | None
    max_score: float | None
    min_score: float | None
    range: tuple[int, int | None]
    sampling: Literal["top", "random"]
    seed: int

    def checks(self) -> Iterable[Check]:
        """A range with fewer documents than negatives, and options that the format has no use for."""
        return self._range_complaints, self._format_complaints

    def _format_complaints(self) -> Iterator[str]:
        from eval.export.formats import FORMATS  # takes a while

        form = FORMATS[self.format]
        if self.qrels is not None and form.positives == "never":
            yield f"--qrels: format {self.format} has all documents of a list; leave it out"
        if self.keep_id_types and not form.has_ids():
            yield f"--keep_id_types: format {self.format} has no ids, or has them as text; leave it out"

    def _range_complaints(self) -> Iterator[str]:
        first, last = self.range
        if last is not None and last - first < self.num_negatives:
            yield f"--range {first}:{last}: leaves no room for {self.num_negatives} negatives; widen it"

    @property
    def mining(self) -> Mining:
        """How negatives are chosen."""
        return Mining(
            self.num_negatives,
            self.absolute_margin,
            self.relative_margin,
            self.max_score,
            self.min_score,
            *self.range,
            self.sampling,
            self.seed,
        )
