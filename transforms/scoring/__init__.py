"""Text to scores, without Beam: `Reranker.load(name).score(query, documents)`."""

from transforms.scoring.reranker import Reranker
from transforms.scoring.results import RankingTask, Scores

__all__ = ["RankingTask", "Reranker", "Scores"]
