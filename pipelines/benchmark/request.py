"""What a benchmark is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eval.published.scores import DEPTH
from transforms.schema import PART_PAIRS


@dataclass(frozen=True, kw_only=True)
class BenchmarkRequest:
    """A benchmark; each field is the option of its name, see docs/options.md for what it means and takes."""

    models: tuple[str, ...]
    datasets: tuple[str, ...]
    output: str
    retriever: str | None = None
    depth: int = DEPTH
    data_dir: str | None = None
    plan: bool = False
    throughput: float | None = None
    price_per_hour: float | None = None
    max_length: int | None = None
    max_query_length: int | None = None
    max_doc_length: int | None = None
    long_documents: str | None = None
    activation: str | None = None
    group_size: int | None = None
    special_tokens: str | None = None
    prompt: str | None = None
    task: str | None = None
    size: int | None = None
    instruction: str | None = None
    endpoint_model: str | None = None
    endpoint_api: str | None = None
    endpoint_batch: int | None = None
    endpoint_concurrency: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    attention: str = "auto"
    batch_tokens: int | None = None
    threads: int | None = None
    shard_pairs: int = PART_PAIRS
    max_rejected: float = 1.0

    def complaints(self) -> Iterator[str]:
        """Nothing: every combination of its options has a meaning."""
        return iter(())
