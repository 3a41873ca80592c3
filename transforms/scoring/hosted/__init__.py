"""Rerank APIs: requests, answers, and what is done when a server fails."""
