"""Text to scores and to embeddings, without Beam.

`Reranker.load(name).score(query, documents)`; `Encoder.load(name).embed(texts, "query")`.
"""

from transforms.scoring.reranker import Reranker
from transforms.scoring.results import RankingTask, Scores
from transforms.scoring.text_encoder import Encoder

__all__ = ["Encoder", "RankingTask", "Reranker", "Scores"]
