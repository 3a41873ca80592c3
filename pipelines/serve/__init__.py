"""A rerank API over HTTP, with a model of this machine: `python -m pipelines.serve`."""
