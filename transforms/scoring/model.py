"""What is known of a model beyond its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Model:
    """What is known of a model beyond its files.

    Attributes:
        name: hub id, or the short name of an embedded model.
        family: module and class that score with it; see `transforms.scoring.reranker.FAMILIES`.
        settings: the vendor's defaults.
        licence: SPDX identifier.
        parameters: in billions.
        limit: most tokens that it reads at once, by its files.
        score: what its score means, in words.
        checked: what its scores here were compared with; where nothing was available, that is said.
        revision: the hub commit to take where none is asked for; None for the main branch.
        signature: words that all stand in config.json's `architectures`, `auto_map` or `layer_types` of this model's
            files, by which a directory is recognised; of several entries the first one holds. Empty where it does
            not.
    """

    name: str
    family: str
    settings: Any
    licence: str
    parameters: float
    limit: int | None = None
    score: str = ""
    checked: str = ""
    revision: str | None = None
    signature: tuple[str, ...] = ()

    @property
    def reads_lists(self) -> bool:
        """Whether it reads documents together, so that their order matters."""
        return self.family == "listwise"

    @property
    def embeds(self) -> bool:
        """Whether it gives embeddings of texts."""
        return self.family == "embedding"
