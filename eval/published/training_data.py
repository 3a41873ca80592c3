"""What models are known to have been trained on, so that no figure on such data passes for a measure of quality."""

from __future__ import annotations

import re
from typing import NamedTuple


class Seen(NamedTuple):
    """Data that a model was trained on.

    Attributes:
        model: its name in the catalogue.
        words: the data sets: regular expressions of parts of their names without case and punctuation.
        kept_out: the same of parts of these data that the training left out.
        source: where that is documented.
    """

    model: str
    words: tuple[str, ...]
    kept_out: tuple[str, ...]
    source: str


SEEN = (
    Seen(
        model="small-cross-encoder",
        words=("xquad", "scifact", "dbpedia", "fiqa", "scidocs", "climatefever", "touche", "dl(20)?2[01](?![0-9])"),
        kept_out=("dbpediaentity40x50", "dbpediagraded40x50"),
        source="the model's README",
    ),
)


def trained_on(model: str, dataset: str) -> str | None:
    """Why a model's figures on a data set do not measure its quality; None where nothing is known against them.

    A data set is known by its name alone, and of most models it is not known here what they were trained on.
    """
    plain = re.sub("[^a-z0-9]", "", dataset.lower())
    for seen in SEEN:
        if seen.model == model and any(re.search(word, plain) for word in seen.words):
            if any(re.search(word, plain) for word in seen.kept_out):
                return None
            return f"trained on data of this set, says {seen.source}"
    return None
