"""Evaluation of scored candidates and of TREC runs against relevance judgements: `python -m eval --help`."""
