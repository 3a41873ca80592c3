"""Which texts the engines and the tokenizers library disagree on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer

from transforms.scoring.tokenising.library import Library
from transforms.scoring.tokenising.tokeniser import tokeniser_of


def different(backend: Tokenizer, texts: Sequence[str]) -> list[str]:
    """The texts of which the engine makes other ids, or another failure, than the library."""
    ours, wanted = tokeniser_of(backend).encode(texts), Library(backend).encode(texts)
    pairs = zip(texts, ours, wanted, strict=True)
    return [text for text, a, b in pairs if not (a == b if isinstance(a, tuple) else np.array_equal(a, b))]
