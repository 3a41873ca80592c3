"""Lists on standard input, scored one after the other: `python -m pipelines.score`."""
