"""What the service counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

# Seconds of an answer, from a list of a few pairs on a GPU to a long one on a CPU.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """One service's figures, none of the process' other ones among them."""

    media_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("rerank_requests", "Requests answered.", ["status"], registry=self._registry)
        self._seconds = Histogram(
            "rerank_request_seconds", "From request to answer.", buckets=_SECONDS, registry=self._registry
        )
        self._documents = Counter("rerank_documents", "Documents scored.", registry=self._registry)
        self._tokens = Counter("rerank_tokens", "Tokens of the scored pairs.", registry=self._registry)
        self.in_hand = Gauge("rerank_requests_in_hand", "Requests being answered.", registry=self._registry)

    def count(self, documents: int, tokens: int) -> None:
        """Count scored documents."""
        self._documents.inc(documents)
        self._tokens.inc(tokens)

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return bytes(generate_latest(self._registry))
