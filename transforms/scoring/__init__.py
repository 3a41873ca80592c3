"""Text to scores and to embeddings, without Beam.

`Reranker.load(name).score(query, documents)`; `Encoder.load(name).embed(texts, "query")`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transforms.scoring.reranker import Reranker
    from transforms.scoring.results import RankingTask, Scores
    from transforms.scoring.text_encoder import Encoder

__all__ = ["Encoder", "RankingTask", "Reranker", "Scores"]
_MODULES = {"Encoder": "text_encoder", "RankingTask": "results", "Reranker": "reranker", "Scores": "results"}


def __getattr__(name: str) -> Any:
    """Imports a name when it is asked for: the model's code takes seconds, which a command's --help need not wait."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
